# SPDX-License-Identifier: Apache-2.0
"""Loads and stores that leave the guest, and the device that each is for.

A device is an MMIO range of the VM: pykvm's run loop finds it and calls it, in the vCPU's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from minivmm.endings import BadInput
from pykvm import VM

_Read = Callable[[int, int], int]
_Write = Callable[[int, int, int], object]
#: "load" or "store", and the address.
Access = tuple[str, int]
ELSEWHERE = 2**64


class Device(Protocol):
    """What answers loads and stores. ``offset`` counts from the device's first byte.

    Called by any vCPU's thread, several at once. ``value`` fits ``size``, 1, 2, 4 or 8 bytes. What
    is read fits 4 bytes, or 8 where that is the size; narrower loads get its low bytes.
    """

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
        read: _Read = device.read
        write: _Write = device.write
        if self._counting:
            read, write = self._counted(start, read, write)
        self._vm.mmio_handler(start, size, read=by_width(read), write=write)

    def _counted(self, start: int, read: _Read, write: _Write) -> tuple[_Read, _Write]:
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
        if self._strict:
            raise Unclaimed(f"{what} of {size} at {gpa:#x}, where no device is")

    def name(self, gpa: int) -> str:
        """An address as people know it."""
        for name, start, end in self._claims:
            if start <= gpa < end:
                return f"{name} +{gpa - start:#x}"
        return "elsewhere" if gpa == ELSEWHERE else f"{gpa:#x}, nothing there"


def by_width(read: _Read) -> dict[int, _Read]:
    """Loads by their width: pykvm wants an answer that fits."""

    def narrow(offset: int, size: int) -> int:
        return read(offset, size) & (1 << 8 * size) - 1

    return {1: narrow, 2: narrow, 4: read, 8: read}
