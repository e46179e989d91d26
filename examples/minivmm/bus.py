# SPDX-License-Identifier: Apache-2.0
"""Loads and stores that leave the guest, and the device that each is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from minivmm.endings import BadInput


class Device(Protocol):
    """What answers loads and stores. ``offset`` counts from the device's first byte.

    Called by any vCPU's thread, several at once. ``value`` fits ``size``, 1, 2, 4 or 8 bytes;
    what is read may be wider, and is cut.
    """

    def read(self, offset: int, size: int) -> int: ...

    def write(self, offset: int, size: int, value: int) -> None: ...


class Range(NamedTuple):
    name: str
    start: int
    end: int
    device: Device


class Unclaimed(Exception):
    """An access that no device answers, where that is not to be let go."""


class Bus:
    """Device by address. Where there is none, loads give zero and stores vanish, counted."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._ranges: list[Range] = []
        self._claimed: dict[str, tuple[int, int]] = {}
        #: By the page, since no two devices share an address but some share a page.
        self._pages: dict[int, list[Range]] = {}
        self.unclaimed: Counter[str] = Counter()

    def keep_clear(self, name: str, start: int, size: int) -> None:
        """What KVM itself serves: memory, the interrupt controller."""
        self._claim(name, start, start + size)

    def _claim(self, name: str, start: int, end: int) -> None:
        for other, (first, last) in self._claimed.items():
            if start < last and first < end:
                raise BadInput(f"{name} at {start:#x} overlaps {other} at {first:#x}")
        self._claimed[name] = start, end

    def add(self, name: str, start: int, size: int, device: Device) -> None:
        new = Range(name, start, start + size, device)
        self._claim(name, start, start + size)
        self._ranges.append(new)
        for page in range(new.start >> 12, (new.end - 1 >> 12) + 1):
            self._pages.setdefault(page, []).append(new)

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    def read(self, gpa: int, size: int) -> int:
        for _, start, end, device in self._pages.get(gpa >> 12, ()):
            if start <= gpa and gpa + size <= end:
                return device.read(gpa - start, size) & (1 << 8 * size) - 1
        self._nobody("load", gpa, size)
        return 0

    def write(self, gpa: int, size: int, value: int) -> None:
        for _, start, end, device in self._pages.get(gpa >> 12, ()):
            if start <= gpa and gpa + size <= end:
                device.write(gpa - start, size, value)
                return
        self._nobody("store", gpa, size)

    def _nobody(self, what: str, gpa: int, size: int) -> None:
        access = f"{what} of {size} at {gpa:#x}"
        # A guest may sweep all addresses there are: name the first ones, count the others together.
        if access in self.unclaimed or len(self.unclaimed) < 1000:
            self.unclaimed[access] += 1
        else:
            self.unclaimed["elsewhere"] += 1
        if self._strict:
            raise Unclaimed(f"{access}, where no device is")
