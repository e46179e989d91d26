# SPDX-License-Identifier: Apache-2.0
"""The virtio devices that the command line asks for, each where its work is done.

Disks and network cards have threads of their own: what they wait for must not hold up the others.
What a guest has none of is not loaded: most have a disk and no more, and start sooner so.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from minivmm.endings import BadInput, Outcome
from minivmm.events import EventLoop, LoopThread
from minivmm.ram import Ram
from minivmm.terminal import Terminal
from minivmm.virtio.attach import Slots
from minivmm.virtio.blk import Blk
from minivmm.virtio.disk import Disk

if TYPE_CHECKING:
    from minivmm.virtio.console import Console
    from minivmm.virtio.tap import Tap

_VHOST_NET = Path("/dev/vhost-net")


class Backends:
    """What is behind the devices on this host, and outlives a reset of the guest."""

    def __init__(self, given: argparse.Namespace, undo: ExitStack) -> None:
        self.disks = [undo.enter_context(Disk(path, read_only=ro)) for path, ro in given.disk]
        self.taps: list[Tap] = []
        if given.tap:
            from minivmm.virtio.tap import Tap

            self.taps = [undo.enter_context(Tap(name)) for name in given.tap]
        self.macs = [b"\x02" + os.urandom(5) for _ in given.tap]  # local, of one card
        self.terminal = undo.enter_context(Terminal())


def attach_all(
    given: argparse.Namespace,
    backends: Backends,
    slots: Slots,
    ram: Ram,
    loop: EventLoop,
    outcome: Outcome,
    undo: ExitStack,
) -> Console | None:
    """Fills the slots; returns the console, if one is wanted."""

    def new_loop(name: str) -> tuple[EventLoop, Callable[[], None]]:
        thread = LoopThread(name, outcome.fail)
        undo.callback(thread.close)
        return thread.loop, thread.start

    for number, disk in enumerate(backends.disks):
        its_loop, start = new_loop(f"disk {number}")
        slots.attach(f"disk {number}", Blk(disk, f"disk{number}"), its_loop)
        start()
    if backends.taps or given.vsock:
        from minivmm.virtio.net import Net
        from minivmm.virtio.vhost import Vhost
        from minivmm.virtio.vsock import Vsock
    for tap, mac in zip(backends.taps, backends.macs, strict=True):
        its_loop, start = new_loop(tap.name)
        vhost = None
        try:
            if given.vhost != "off":
                vhost = Vhost(str(_VHOST_NET), ram)
        except BadInput:  # a module that is not there, a node that this user may not open
            if given.vhost == "on":
                raise
        slots.attach(tap.name, Net(tap, mac, its_loop, vhost), its_loop)
        start()
    if given.vsock:
        slots.attach("vsock", Vsock(given.vsock, Vhost("/dev/vhost-vsock", ram)), loop)
    if given.rng:
        from minivmm.virtio.rng import Rng

        slots.attach("rng", Rng(), loop)
    if given.console != "virtio":
        return None
    from minivmm.virtio.console import Console

    console = Console(backends.terminal.send, backends.terminal.more)
    # Of its own, too: what it prints may have to wait for whoever reads.
    its_loop, start = new_loop("console")
    slots.attach("console", console, its_loop)
    start()
    return console
