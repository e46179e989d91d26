# SPDX-License-Identifier: Apache-2.0
"""Dirty rings: the pages that each vCPU wrote to, one by one in the order of the first write."""

from __future__ import annotations

import errno
import mmap
import struct
import threading
from collections import deque
from typing import NamedTuple

from pykvm._bus import Intake
from pykvm._descriptor import Descriptor
from pykvm._mapping import unmap
from pykvm._native import ffi, lib
from pykvm._vmcore import VmCore
from pykvm.errors import KvmError, failure, naming

__all__ = ["DirtyPage", "DirtyRing", "VcpuDirtyRing", "VmDirtyRings"]

#: What struct kvm_dirty_gfn has after its flags.
_ENTRY = struct.Struct("=4xIQ")
#: Entries that are taken from a ring at a time.
_BATCH = 1024
#: madvise(2); Python has no name for it.
_MADV_POPULATE_READ = 22


class DirtyPage(NamedTuple):
    """A page that a vCPU wrote to: ``page`` counts the host's pages from the start of the slot.

    ``slot`` is :attr:`MemorySlot.slot` (on x86_64, with the address space in the upper 16 bits).
    """

    slot: int
    page: int


class DirtyRing:
    """One vCPU's ring: its mapping, and where the next entry is taken."""

    __slots__ = ("_count", "_hold", "_intake", "_left", "_map", "_ring", "_turn", "_vcpu_id")

    def __init__(self, fd: int, size: int, vcpu_id: int) -> None:
        with naming("mmap dirty ring", vcpu_id=vcpu_id, size=size):
            # A mapping of its own: between kvm_run and the ring there are pages that nobody may
            # touch. Python maps shared and not executable, which is what KVM insists on.
            self._map = mmap.mmap(fd, size, offset=lib.dirty_ring_page() * mmap.PAGESIZE)
            # Were there less of it than was asked for, touching it would end the process: rather
            # be told now.
            self._map.madvise(_MADV_POPULATE_READ)
        self._hold = ffi.from_buffer(self._map)
        self._count = size // _ENTRY.size
        self._vcpu_id = vcpu_id
        self._ring = ffi.new("struct pykvm_dirty_ring *")
        lib.dirty_ring_open(self._ring, self._hold, self._count)
        self._intake = Intake("kvm_dirty_gfn", min(self._count, _BATCH), _ENTRY)
        #: What was taken out, and nobody has been given.
        self._left: deque[tuple[int, int]] = deque()
        self._turn = threading.RLock()

    def harvest(self) -> list[DirtyPage]:
        taken: deque[tuple[int, int]] = deque()
        try:
            with self._turn:
                self._fetch()
                taken, self._left = self._left, taken
            return list(map(DirtyPage._make, taken))
        except BaseException:  # of a signal's handler: nobody has got them
            with self._turn:
                self._left = taken + self._left
            raise

    def _fetch(self) -> None:
        intake = self._intake
        if intake.n[0]:  # a signal's handler ended the last attempt
            intake.move(self._left)
        # At most one round: a guest that dirties on while others reset would keep us here.
        while len(self._left) < self._count:
            n = lib.dirty_ring_harvest(self._ring, intake.taken, intake.room, intake.n)
            if n < 0:
                what = f"Vcpu {self._vcpu_id}"
                raise failure(n, "harvest dirty ring", what, 0, vcpu_id=self._vcpu_id)
            intake.move(self._left)
            if n < intake.room:
                break

    def close(self) -> None:
        lib.dirty_ring_close(self._ring)
        self._hold = None
        unmap(self._map)


class VcpuDirtyRing:
    """The part of a vCPU that hands out what its dirty ring has."""

    __slots__ = ()

    _core: Descriptor
    _dirty_ring: DirtyRing | None
    vcpu_id: int

    def harvest_dirty_ring(self) -> list[DirtyPage]:
        """Takes the pages that this vCPU wrote to from its dirty ring, oldest first.

        They stay marked in KVM, and their places taken, until :meth:`VM.reset_dirty_rings`. A page
        may come more than once.
        Copy the pages after that: what is written between a copy and the reset would be lost.
        Errors: EINVAL the VM has no dirty rings (:meth:`VM.enable_dirty_log_ring` before the vCPU);
        EIO in a forked child; ClosedError.
        Synchronization: any thread, also while the vCPU runs; each page comes to one caller.
        Source: api.rst 8.29 (KVM_CAP_DIRTY_LOG_RING).
        """
        if self._core.fd < 0:
            raise failure(lib.PYKVM_CLOSED, "harvest dirty ring", self._core.what, -1)
        if self._core.inherited:  # the lock is as a thread of the parent's left it
            raise failure(
                -errno.EIO, "harvest dirty ring", self._core.what, 0, vcpu_id=self.vcpu_id
            )
        ring = self._dirty_ring
        if ring is not None:
            return ring.harvest()
        raise KvmError(
            errno.EINVAL, "harvest dirty ring", {"vcpu_id": self.vcpu_id},
            "This vCPU has no dirty ring: enable_dirty_log_ring() comes before any vCPU.",
        )  # fmt: skip


class VmDirtyRings:
    """The part of a VM that starts its vCPUs' dirty rings anew."""

    __slots__ = ()

    _core: VmCore

    def reset_dirty_rings(self) -> int:
        """KVM_RESET_DIRTY_RINGS: gives what was harvested back to every ring of the VM.

        Capability: DIRTY_LOG_RING_ACQ_REL, switched on.

        From now on, writes to those pages come again.
        Returns: how many entries were given back.
        Errors: EINVAL the VM has no dirty rings.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 8.29 (KVM_CAP_DIRTY_LOG_RING).
        """
        return self._core.call(lib.reset_dirty_rings, "KVM_RESET_DIRTY_RINGS")
