# SPDX-License-Identifier: Apache-2.0
"""Loads and stores to the ranges of a VM, as a vCPU's run loop serves them, without a guest.

The table is the real one, in C, and so is the search in it; only the guest is missing.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from minivmm.bus import Bus

from pykvm import VM, _bus
from pykvm._kvm import ffi, lib
from pykvm._vmcore import Children
from pykvm.vmmmio import VmMmio


class Ranges(VmMmio):
    """The part of a VM that ranges belong to."""

    def __init__(self) -> None:
        self._children = Children()
        self.bus = _bus.Bus()
        self._core = cast("Any", SimpleNamespace(bus=self.bus))

    def fileno(self) -> int:
        return -1


class Accesses:
    """A bus, and what comes to it."""

    def __init__(self, *, strict: bool = False, counting: bool = False) -> None:
        self._ranges = Ranges()
        self.bus = Bus(cast("VM", self._ranges), strict=strict, counting=counting)

    def load(self, gpa: int, size: int) -> int:
        place, offset, value = self._find(gpa, size)
        if place == lib.PYKVM_NOTHING:
            return value
        self._drain()
        if place is None:
            self.bus.nobody("load", gpa, size)
            return 0
        handler = self._ranges.bus.loads[lib.PYKVM_LOADS - place]
        assert handler is not None
        value = handler(offset, size)
        assert 0 <= value < 1 << 8 * size, "run() would refuse this answer"
        return value

    def store(self, gpa: int, size: int, value: int) -> None:
        place, offset, value = self._find(gpa, size, value)
        if place == lib.PYKVM_NOTHING:
            return
        self._drain()
        if place is None:
            self.bus.nobody("store", gpa, size)
            return
        handler = self._ranges.bus.stores[place]
        assert handler is not None
        handler(offset, size, value)

    def _drain(self) -> None:
        """What waits comes before what Python is asked for."""
        for queue in self._ranges.bus.queues:
            queue.deliver()

    def _find(self, gpa: int, size: int, value: int | None = None) -> tuple[int | None, int, int]:
        """Who serves an access (None: nobody; NOTHING: it is done), where in the range it is, and
        the value.
        """
        access = ffi.new("struct pykvm_access *")
        fields = ffi.buffer(access)
        fields[:] = _bus._STORE.pack(0, size, value or 0)
        place = lib.bus_access(self._ranges.bus.table, gpa, value is not None, access)
        offset, _, value = _bus._STORE.unpack(fields)
        return (None if place == lib.PYKVM_EXITS - lib.KVM_EXIT_MMIO else place), offset, value
