# SPDX-License-Identifier: Apache-2.0
"""Registers of a device that the guest uses without Python, so that it is not held up.

A device says which of its registers are so; without a VM (or while accesses are counted) they are
served as the others are, by its read() and write(), and mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pykvm import VM, EventFd, MmioLatch, MmioRing

Read = Callable[[int, int], int]
Write = Callable[[int, int, int], object]


class Status:
    """A register that the device changes and the guest only reads: it finds ``value``."""

    def __init__(self, offset: int, size: int, value: int) -> None:
        self.offset, self.size = offset, size
        self._value = value
        self._latch: MmioLatch | None = None

    def serve(self, vm: VM, start: int, reads: Mapping[int, Read], write: Write) -> None:
        self._latch = vm.mmio_latch(start + self.offset, self.size, self._value, read_only=True)

    @property
    def value(self) -> int:
        return self._value

    @value.setter
    def value(self, value: int) -> None:
        self._value = value
        if self._latch is not None:
            self._latch.value = value


class Stream:
    """A register into which the guest pours data: its stores wait, in order, and it goes on.

    They reach write() before whatever the guest does next at a device, or by catch_up(), for which
    ``bell`` rings. ``waits``: whether this is how it is; else write() is called at once.
    """

    def __init__(self, offset: int, size: int) -> None:
        self.offset, self.size = offset, size
        self.bell = EventFd()
        self._ring: MmioRing | None = None

    @property
    def waits(self) -> bool:
        return self._ring is not None

    def serve(self, vm: VM, start: int, reads: Mapping[int, Read], write: Write) -> None:
        self._ring = vm.mmio_ring(
            start + self.offset, self.size, write, read=reads, eventfd=self.bell
        )  # fmt: skip

    def catch_up(self) -> None:
        if self._ring is not None:
            self._ring.deliver()
