# SPDX-License-Identifier: Apache-2.0
"""Memory of a VM: that part of :class:`pykvm.VM`."""

from __future__ import annotations

from pykvm._descriptor import check_int
from pykvm._vmcore import Children, VmCore
from pykvm.memory import GuestMemory
from pykvm.slot import MemorySlot

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
    ) -> MemorySlot:
        """KVM_SET_USER_MEMORY_REGION: shows the guest ``memory`` at ``gpa``.

        Capability: USER_MEMORY; READONLY_MEM for ``readonly``.

        Args: ``gpa``, ``offset`` (into the memory) and ``size`` are bytes, multiples of the host's
        page size; ``size`` defaults to what the memory has from ``offset``. ``slot``: a number of
        one's own, by default the lowest free one. ``readonly``: guest writes exit as MMIO.
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
        if slot is not None:
            slot = check_int("slot", slot, 0, 2**16 - 1)
        made = MemorySlot(self, self._core, slot, gpa, memory, offset, size, bool(readonly))
        self._children.hold(made)
        return made
