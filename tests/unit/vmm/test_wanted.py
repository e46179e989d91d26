# SPDX-License-Identifier: Apache-2.0
"""Which thread serves which virtio device of the minimal VMM."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from minivmm import options
from minivmm.endings import Ending, Outcome
from minivmm.events import EventLoop
from minivmm.terminal import Terminal
from minivmm.virtio.attach import Slots
from minivmm.virtio.console import TRANSMIT
from minivmm.virtio.device import Device
from minivmm.virtio.wanted import Backends, attach_all

from pykvm import EventFd
from tests.unit.vmm.driver import WRITE, Driver
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
