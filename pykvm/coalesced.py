# SPDX-License-Identifier: Apache-2.0
"""Coalesced MMIO: stores of the guest that wait in a ring instead of ending run()."""

from __future__ import annotations

import contextlib
import errno
import mmap
import threading
import weakref
from typing import Any

from pykvm._bus import Intake
from pykvm._descriptor import Closing, Descriptor, check_int
from pykvm._native import lib
from pykvm._vmcore import Children, VmCore
from pykvm.caps import Cap
from pykvm.errors import KvmError, failure
from pykvm.exits import MmioWrite

__all__ = ["CoalescedMmio", "VcpuCoalescedMmio", "VmCoalescedMmio"]


class CoalescedMmio(Closing):
    """A range of guest addresses whose stores wait in the VM's ring.

    Made by :meth:`VM.register_coalesced_mmio`. Attributes: ``gpa``, ``size`` (bytes).

    Synchronization: close() from any thread.
    Source: api.rst 4.116.
    """

    __slots__ = ("__weakref__", "_core", "_turn", "_vm", "gpa", "size")

    def __init__(self, vm: VmCoalescedMmio, core: VmCore, gpa: int, size: int) -> None:
        self._core: VmCore | None = None
        self._turn = threading.RLock()
        self._vm = weakref.ref(vm)
        self.gpa = gpa
        self.size = size
        self._core = core
        try:
            core.call(
                lib.register_coalesced_mmio, "KVM_REGISTER_COALESCED_MMIO", gpa, size,
                gpa=gpa, size=size,
            )  # fmt: skip
        except (KvmError, ValueError):
            self._core = None  # refused
            raise
        except BaseException:
            self.close()  # a signal's handler raised: KVM may have it
            raise

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core is None

    def close(self) -> None:
        """KVM_UNREGISTER_COALESCED_MMIO: stores end run() again. What waits in the ring stays.

        Capability: COALESCED_MMIO.

        Errors: none of the kernel's.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.116.
        """
        core = self._core
        if core is None:
            return
        with contextlib.nullcontext() if core.inherited else self._turn:
            # Twice is harmless, so whatever interrupts this may close it again.
            core.take_back(lambda: self._unregister(core))
            self._core = None
            vm = self._vm()
            if vm is not None:
                vm._children.forget(self)

    def _unregister(self, core: VmCore) -> None:
        core.call(
            lib.unregister_coalesced_mmio, "KVM_UNREGISTER_COALESCED_MMIO", self.gpa, self.size,
            gpa=self.gpa, size=self.size,
        )  # fmt: skip

    # Bound here because at the interpreter's end the module's names may be gone.
    def __del__(self, _suppress: type[contextlib.suppress] = contextlib.suppress) -> None:
        with _suppress(Exception):  # half made, perhaps, and nobody is left to be told
            self.close()

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<CoalescedMmio{state} gpa {self.gpa:#x} size {self.size:#x}>"


class VmCoalescedMmio:
    """The part of a VM that lets stores wait."""

    __slots__ = ()

    _children: Children
    _core: VmCore

    def register_coalesced_mmio(self, gpa: int, size: int) -> CoalescedMmio:
        """KVM_REGISTER_COALESCED_MMIO: stores to a range wait in a ring, and the guest goes on.

        Capability: COALESCED_MMIO.

        For registers whose stores can wait. Before run() hands on any exit, those that wait are
        served by the MMIO range at their address (:meth:`VM.mmio_handler`); what has none is for
        :meth:`Vcpu.drain_coalesced_mmio`, before that exit is served. So the order is the guest's.
        (In a VM with MMIO ranges it is kept until then, however much it becomes.)
        While the ring is full, stores end run() as ever. Loads always do.
        Args: ``gpa``; ``size`` in bytes. A store must lie in the range with all its bytes.
        Returns: a :class:`CoalescedMmio`; it stays in force while the VM is open.
        Errors: ENOSPC the VM has as many MMIO devices as KVM allows; ENOMEM; ValueError where it
        overlaps another range: KVM ends both with one of them.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.116.
        """
        gpa = check_int("gpa", gpa, 0, 2**64 - 1)
        size = check_int("size", size, 1, 2**32 - 1)
        if gpa + size > 2**64:
            raise ValueError(f"gpa {gpa:#x} with size {size:#x} wraps around")
        for other in self._children.newest_first():
            if isinstance(other, CoalescedMmio) and not (
                gpa + size <= other.gpa or other.gpa + other.size <= gpa
            ):
                raise ValueError(f"gpa {gpa:#x} with size {size:#x} overlaps {other!r}")
        # First: a store that waits comes before any exit after it, also while we are here.
        offset = ring_offset(self._core)
        lib.bus_watch_coalesced(self._core.bus.table, offset, mmap.PAGESIZE)
        made = CoalescedMmio(self, self._core, gpa, size)
        self._children.hold(made)
        return made


class VcpuCoalescedMmio:
    """The part of a vCPU that hands out the stores that wait."""

    __slots__ = ()

    _context: Any
    _core: Descriptor
    _vm_core: VmCore
    vcpu_id: int

    def drain_coalesced_mmio(self) -> list[MmioWrite]:
        """Takes the stores that wait, in the order in which they were made.

        A VM has one ring, of all its vCPUs' stores; each vCPU's mapping shows it. Stores that have
        an MMIO range go there instead.
        Errors: EIO in a forked child; ClosedError.
        Synchronization: any thread, also while vCPUs run; each store comes to one caller.
        Source: api.rst 4.116.
        """
        if self._core.inherited:  # the lock is as a thread of the parent's left it
            raise self._drain_failed(-errno.EIO)
        bus = self._vm_core.bus
        while not self._deliver_coalesced():
            bus.deliver()
        return bus.coalesced.take()

    def _deliver_coalesced(self) -> bool:
        bus = self._vm_core.bus
        return bus.coalesced.deliver(bus.stores, self._take_coalesced)

    def _take_coalesced(self, intake: Intake) -> bool:
        """Whether this is all."""
        result = lib.drain_coalesced_mmio(
            self._context, ring_offset(self._vm_core), mmap.PAGESIZE, intake.taken, intake.room,
            intake.n,
        )  # fmt: skip
        if result < 0 and result != lib.PYKVM_DRAIN:
            raise self._drain_failed(result)
        return not result

    def _drain_failed(self, result: int) -> Exception:
        what = self._core.what
        return failure(result, "drain coalesced MMIO", what, self._core.fd, vcpu_id=self.vcpu_id)


def ring_offset(core: VmCore) -> int:
    """Where the ring is in a vCPU's mapping. (Always in it, so that nothing else is touched.)"""
    if core.coalesced_page is None:
        cap = Cap.COALESCED_MMIO
        core.coalesced_page = core.call(
            lib.check_extension, "KVM_CHECK_EXTENSION", cap, cap=cap.name
        )
    offset = core.coalesced_page * mmap.PAGESIZE
    if not 0 < offset <= core.mmap_size - mmap.PAGESIZE:
        raise failure(-errno.ENXIO, "drain coalesced MMIO", "VM", core.fd)
    return offset
