# SPDX-License-Identifier: Apache-2.0
"""Interrupt lines. Device models know a trigger and nothing of KVM:

- an ``Edge`` has ``signal()``: something has happened;
- a ``Level`` has ``set_level(bool)``: something is wanted, until it was served.

An irqfd is behind each: a write to an eventfd, which KVM turns into an SPI of the guest.
"""

from __future__ import annotations

from typing import Protocol

from minivmm.events import EventLoop
from pykvm import VM, LevelLine


class Edge(Protocol):
    def signal(self) -> None: ...


class Level(Protocol):
    def set_level(self, level: bool) -> None: ...


class EdgeIrqfd:
    """A line of which each signal is one interrupt."""

    __slots__ = ("irqfd", "signal")

    def __init__(self, vm: VM, intid: int) -> None:
        self.irqfd = vm.irqfd(intid=intid)
        self.signal = self.irqfd.inject  # one write to the eventfd that KVM waits for


class LevelIrqfd:
    """A line that is raised while a device wants service.

    KVM lowers it at the guest's end of the interrupt, and tells by the resamplefd; a device that
    still wants service raises it again. ``LevelLine`` is that protocol.
    """

    def __init__(self, vm: VM, intid: int, loop: EventLoop) -> None:
        self._level = False
        self.line = LevelLine(vm.irqfd(intid=intid, resample=True), lambda: self._level)
        loop.watch(self.line, self.line.ended)

    def set_level(self, level: bool) -> None:
        self._level = level
        if level:
            self.line.update()
