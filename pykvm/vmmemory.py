# SPDX-License-Identifier: Apache-2.0
"""Memory of a VM: that part of :class:`pykvm.VM`."""

from __future__ import annotations

from pykvm._descriptor import check_int
from pykvm._vmcore import Children, VmCore
from pykvm.guest_memfd import GuestMemfd, GuestMemfdFlag
from pykvm.memory import GuestMemory, check_size
from pykvm.slot import Backing, MemorySlot

__all__ = ["VmMemory"]

_U64 = 2**64 - 1


class VmMemory:
    """The part of a VM that shows memory to the guest."""

    __slots__ = ()

    _children: Children
    _core: VmCore

    def add_memory(
        self,
        gpa: int,
        memory: GuestMemory,
        *,
        offset: int = 0,
        size: int | None = None,
        slot: int | None = None,
        readonly: bool = False,
        log_dirty: bool = False,
    ) -> MemorySlot:
        """KVM_SET_USER_MEMORY_REGION: shows the guest ``memory`` at ``gpa``.

        Capability: USER_MEMORY; READONLY_MEM for ``readonly``.

        Args: ``gpa``, ``offset`` (into the memory) and ``size`` are bytes, multiples of the host's
        page size; ``size`` defaults to what the memory has from ``offset``. ``slot``: a number of
        one's own, by default the lowest free one. ``readonly``: guest writes exit as MMIO.
        ``log_dirty``: KVM notes which pages are written to (:attr:`MemorySlot.log_dirty`).
        Errors: EEXIST the range overlaps another slot, EINVAL alignment or number, EFAULT beyond
        the guest's address space, ENOMEM.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.35.
        """
        if not isinstance(memory, GuestMemory):
            raise TypeError(f"memory must be a GuestMemory, not {type(memory).__name__}")
        gpa = check_int("gpa", gpa, 0, _U64)
        offset = check_int("offset", offset, 0, memory.size)
        size = check_int("size", memory.size - offset if size is None else size, 1, memory.size)
        backing = Backing(memory, None, offset, size)
        return self._slot(slot, gpa, backing, readonly=bool(readonly), log_dirty=bool(log_dirty))

    def create_guest_memfd(
        self, size: int, *, flags: int = GuestMemfdFlag.MMAP | GuestMemfdFlag.INIT_SHARED
    ) -> GuestMemfd:
        """KVM_CREATE_GUEST_MEMFD: a file of memory for this VM.

        Capability: GUEST_MEMFD; GUEST_MEMFD_FLAGS for each of ``flags``.

        Args: ``size``: bytes, a multiple of the host's page size. ``flags``:
        :class:`~pykvm.GuestMemfdFlag`, or any bits; by default memory that host and guest share.
        Errors: EINVAL a flag that this kernel lacks; ENOMEM, EMFILE.
        Synchronization: any thread.
        Source: api.rst 4.142.
        """
        size = check_size(size)
        flags = check_int("flags", flags, 0, _U64)
        made = GuestMemfd(self._core, size, flags)
        self._children.know(made)
        return made

    def add_guest_memfd(
        self,
        gpa: int,
        guest_memfd: GuestMemfd,
        *,
        offset: int = 0,
        size: int | None = None,
        slot: int | None = None,
    ) -> MemorySlot:
        """KVM_SET_USER_MEMORY_REGION2: shows the guest what is in a guest_memfd at ``gpa``.

        Capability: USER_MEMORY2, GUEST_MEMFD; on arm64 the file needs its flag MMAP.

        Such a slot can be closed, not changed. Where its memory cannot be had, the guest's access
        ends run() with :class:`~pykvm.MemoryFault`. Without INIT_SHARED, KVM itself cannot touch
        the memory either: no tables of an interrupt controller go there.
        Args: ``guest_memfd``: one of this VM; ``gpa``, ``offset`` (into the file), ``size`` and
        ``slot`` as of :meth:`add_memory`.
        Returns: a slot whose ``memory`` is the host's mapping of the range, which ends with the
        slot; None without INIT_SHARED.
        Errors: EEXIST the range overlaps another slot; EEXIST or EINVAL another slot shows this
        part of the file; EINVAL alignment or number, another VM's file, one without MMAP, or a VM
        with memory tags; EFAULT beyond the guest's address space; ENOMEM.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.140.
        """
        if not isinstance(guest_memfd, GuestMemfd):
            raise TypeError(f"guest_memfd must be a GuestMemfd, not {type(guest_memfd).__name__}")
        gpa = check_int("gpa", gpa, 0, _U64)
        offset, size = guest_memfd._range(offset, size)
        memory = guest_memfd.map(offset=offset, size=size) if guest_memfd.shared else None
        return self._slot(slot, gpa, Backing(memory, guest_memfd, offset, size))

    def _slot(
        self,
        slot: int | None,
        gpa: int,
        backing: Backing,
        *,
        readonly: bool = False,
        log_dirty: bool = False,
    ) -> MemorySlot:
        if slot is not None:
            slot = check_int("slot", slot, 0, 2**16 - 1)
        made = MemorySlot(self, self._core, slot, gpa, backing, readonly, log_dirty)
        self._children.hold(made)
        return made
