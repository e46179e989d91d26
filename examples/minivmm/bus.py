# SPDX-License-Identifier: Apache-2.0
"""Loads and stores that leave the guest, and the device that each is for.

A device is MMIO ranges of the VM: pykvm's run loop finds it and calls it, in the vCPU's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from minivmm.endings import BadInput
from minivmm.quick import Read, Status, Stream, Write
from pykvm import VM

#: "load" or "store", and the address.
Access = tuple[str, int]
ELSEWHERE = 2**64


class Device(Protocol):
    """What answers loads and stores. ``offset`` counts from the device's first byte.

    Called by any vCPU's thread, several at once. ``value`` fits ``size``, 1, 2, 4 or 8 bytes. What
    is read fits 4 bytes, or 8 where that is the size; narrower loads get its low bytes.
    """

    @property
    def quick(self) -> Sequence[Status | Stream]:
        """Registers that need not come here, by their offsets."""

    def read(self, offset: int, size: int) -> int: ...

    def write(self, offset: int, size: int, value: int) -> None: ...


class Claim(NamedTuple):
    name: str
    start: int
    end: int


class Unclaimed(Exception):
    """An access that no device answers, where that is not to be let go."""


class Bus:
    """Who is where. Where nobody is, loads give zero and stores vanish, counted.

    ``accesses``: how many there were of each, with ``counting`` also of those that devices served.
    Two CPUs that count at one moment may lose one of many.
    """

    def __init__(self, vm: VM, *, strict: bool = False, counting: bool = False) -> None:
        self._vm = vm
        self._strict, self._counting = strict, counting
        self._claims: list[Claim] = []
        self.accesses: Counter[Access] = Counter()

    def keep_clear(self, name: str, start: int, size: int) -> None:
        """What KVM itself serves: memory, the interrupt controller."""
        for other, first, end in self._claims:
            if start < end and first < start + size:
                raise BadInput(f"{name} at {start:#x} overlaps {other} at {first:#x}")
        self._claims.append(Claim(name, start, start + size))

    def add(self, name: str, start: int, size: int, device: Device) -> None:
        self.keep_clear(name, start, size)
        read: Read = device.read
        write: Write = device.write
        if self._counting:  # which Python has to see
            self._handle(start, 0, size, *self._counted(start, read, write))
            return
        offset = 0
        for register in device.quick:
            self._handle(start, offset, register.offset, read, write)
            moved_read, moved_write = _moved(register.offset, read, write)
            register.serve(self._vm, start, by_width(moved_read), moved_write)
            offset = register.offset + register.size
        self._handle(start, offset, size, read, write)

    def _handle(self, start: int, offset: int, end: int, read: Read, write: Write) -> None:
        """The part of a device from ``offset`` to ``end``."""
        if offset < end:
            read, write = _moved(offset, read, write)
            self._vm.mmio_handler(start + offset, end - offset, read=by_width(read), write=write)

    def _counted(self, start: int, read: Read, write: Write) -> tuple[Read, Write]:
        accesses = self.accesses

        def counting_read(offset: int, size: int) -> int:
            accesses["load", start + offset] += 1
            return read(offset, size)

        def counting_write(offset: int, size: int, value: int) -> object:
            accesses["store", start + offset] += 1
            return write(offset, size, value)

        return counting_read, counting_write

    def nobody(self, what: str, gpa: int, size: int) -> None:
        """An access that no device answers."""
        # A guest may sweep all addresses there are: the first ones are known, the others in all.
        known = (what, gpa) in self.accesses or len(self.accesses) < 1000
        self.accesses[what, gpa if known else ELSEWHERE] += 1
        # Across two registers, of which one is served without Python, it is still the device's.
        if self._strict and not any(
            start <= gpa and gpa + size <= end for _, start, end in self._claims
        ):
            raise Unclaimed(f"{what} of {size} at {gpa:#x}, where no device is")

    def name(self, gpa: int) -> str:
        """An address as people know it."""
        for name, start, end in self._claims:
            if start <= gpa < end:
                return f"{name} +{gpa - start:#x}"
        return "elsewhere" if gpa == ELSEWHERE else f"{gpa:#x}, nothing there"


def _moved(by: int, read: Read, write: Write) -> tuple[Read, Write]:
    """For a part of a device: pykvm counts offsets from the part's first byte."""
    if not by:
        return read, write
    return (
        lambda offset, size: read(by + offset, size),
        lambda offset, size, value: write(by + offset, size, value),
    )


def by_width(read: Read) -> dict[int, Read]:
    """Loads by their width: pykvm wants an answer that fits."""

    def narrow(offset: int, size: int) -> int:
        return read(offset, size) & (1 << 8 * size) - 1

    return {1: narrow, 2: narrow, 4: read, 8: read}
