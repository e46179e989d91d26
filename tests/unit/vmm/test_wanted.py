# SPDX-License-Identifier: Apache-2.0
"""Which thread serves which virtio device of the minimal VMM, and how long at once."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from minivmm import options
from minivmm.endings import BadInput, Ending, Outcome
from minivmm.events import EventLoop, LoopThread
from minivmm.terminal import Terminal
from minivmm.virtio import wanted
from minivmm.virtio.attach import Slots
from minivmm.virtio.blk import Blk
from minivmm.virtio.console import TRANSMIT
from minivmm.virtio.device import Device
from minivmm.virtio.disk import Disk
from minivmm.virtio.wanted import Backends, attach_all

from pykvm import EventFd
from tests.unit.vmm.driver import NEXT, WRITE, Driver
from tests.unit.vmm.fakes import FakeTap
from tests.unit.vmm.test_terminal import soon


class Places:
    """Slots without a VM: a driver for each device, and bells in the loop where it works."""

    def __init__(self, undo: ExitStack) -> None:
        self._undo = undo
        self.drivers: dict[str, Driver] = {}
        self.bells: dict[str, list[EventFd]] = {}

    def attach(self, name: str, device: Device, loop: EventLoop) -> None:
        driver = self.drivers[name] = Driver(device)
        driver.set_up()
        bells = self.bells[name] = []
        for index in range(len(device.queue_sizes)):
            bell = EventFd()
            self._undo.callback(bell.close)
            loop.watch(bell, partial(driver.transport.notified, index))
            bells.append(bell)
        device.poke = lambda index: bells[index].signal()


def test_a_console_that_nobody_reads_holds_no_other_device_up() -> None:
    far, near = os.pipe()
    typed, keyboard = os.pipe()
    given = options.parse(["kernel", "--console", "virtio", "--rng"])
    with ExitStack() as undo:
        for fd in far, near, typed, keyboard:
            undo.callback(os.close, fd)
        terminal = undo.enter_context(Terminal(typed, near))
        loop = EventLoop()
        undo.callback(loop.close)
        places = Places(undo)
        backends = cast("Backends", SimpleNamespace(disks=[], taps=[], macs=[], terminal=terminal))
        outcome = Outcome(loop.stop, terminal.let_go)
        ram: Any = None
        attach_all(given, backends, cast("Slots", places), ram, loop, outcome, undo)
        main = threading.Thread(target=loop.run)
        main.start()
        console, rng = places.drivers["console"], places.drivers["rng"]
        table = console.rings(TRANSMIT)[0]
        for number in range(8):
            console.describe(table, number, *console.buffer(60_000), 0, 0)
            console.offer(TRANSMIT, number)
        places.bells["console"][TRANSMIT].signal()
        rng.describe(rng.rings(0)[0], 0, *rng.buffer(16), WRITE, 0)
        rng.offer(0, 0)
        places.bells["rng"][0].signal()
        served = soon(lambda: rng.line.signals == 1)
        outcome.end(Ending.QUIT)
        main.join()
    assert served


@pytest.mark.parametrize("node", ["missing", "folder", "file"])
def test_packets_go_by_python_where_the_kernel_cannot_move_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(wanted, "_VHOST_NET", tmp_path / node)
    tap = FakeTap()
    backends = cast("Backends", SimpleNamespace(disks=[], taps=[tap], macs=[bytes(6)]))
    ram: Any = None
    for how in ([], ["--vhost", "off"], ["--vhost", "on"]):
        given = options.parse(["kernel", "--tap", "fake", *how])
        with ExitStack() as undo:
            loop = EventLoop()
            undo.callback(loop.close)
            places = Places(undo)
            if how[1:] == ["on"]:
                undo.enter_context(pytest.raises(BadInput, match=node))
            attach_all(given, backends, cast("Slots", places), ram, loop, Outcome(), undo)
            assert places.drivers["fake"].transport.device.vhost is None
    tap.close()


def test_a_slow_disk_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue of requests, each of which takes its time."""
    (tmp_path / "disk").write_bytes(bytes(512))
    served = [0]

    def slow(*_: object) -> int:
        served[0] += 1
        time.sleep(0.1)
        return 512

    with Disk(tmp_path / "disk") as disk:
        driver = Driver(Blk(disk), size=256)
        driver.set_up()
        monkeypatch.setattr(os, "preadv", slow)
        parts = (*driver.buffer(16), NEXT), (*driver.buffer(512), WRITE | NEXT)
        for number, part in enumerate([*parts, (*driver.buffer(1), WRITE)]):
            driver.describe(driver.rings(0)[0], number, *part, number + 1)
        for _ in range(256):
            driver.offer(0, 0)
        with EventFd() as bell:
            thread = LoopThread("disk", lambda _: None)
            driver.transport.device.poke = lambda _: bell.signal()
            thread.loop.watch(bell, partial(driver.transport.notified, 0))
            thread.start()
            bell.signal()
            assert soon(lambda: driver.line.signals > 0)
            thread.close()
    assert served[0] < 100
