# SPDX-License-Identifier: Apache-2.0
"""Memory slots: which host memory a guest finds at which of its addresses."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from pykvm._descriptor import Closing
from pykvm._native import lib
from pykvm._vmcore import VmCore
from pykvm.errors import KvmError
from pykvm.memory import GuestMemory

if TYPE_CHECKING:
    from pykvm.vmmemory import VmMemory

__all__ = ["MemorySlot"]


class MemorySlot(Closing):
    """A range of guest physical addresses backed by a :class:`GuestMemory`.

    Made by :meth:`VM.add_memory`. Attributes: ``slot`` (its number), ``gpa``, ``size`` (bytes),
    ``memory``, ``offset`` (where in the memory it starts), ``readonly``.

    Synchronization: with its VM.
    """

    __slots__ = (
        "__weakref__", "_core", "_vm", "gpa", "memory", "offset", "readonly", "size", "slot",
    )  # fmt: skip

    def __init__(
        self,
        vm: VmMemory,
        core: VmCore,
        slot: int | None,
        gpa: int,
        memory: GuestMemory,
        offset: int,
        size: int,
        readonly: bool,
    ) -> None:
        self._core: VmCore | None = None
        self._vm = weakref.ref(vm)
        self.slot = slot = core.take_slot(slot)
        self.gpa = gpa
        self.memory = memory
        self.offset = offset
        self.size = size
        self.readonly = readonly
        flags = lib.KVM_MEM_READONLY if readonly else 0
        try:
            # No local name for the hold: in a traceback it would keep the memory from closing.
            core.slots[slot], hva = memory._hold(offset, size)
            core.call(
                lib.set_user_memory_region,
                "KVM_SET_USER_MEMORY_REGION",
                slot, flags, gpa, size, hva,
                slot=slot, flags=flags, gpa=gpa, size=size, hva=hva,
            )  # fmt: skip
        except (KvmError, ValueError):
            core.leave_slot(slot)
            raise
        self._core = core

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core is None

    def close(self) -> None:
        """Takes the range from the guest and lets go of the memory."""
        core, self._core = self._core, None
        if core is None:
            return
        try:
            core.take_back(lambda: self._delete(core))
        except KvmError:
            self._core = core  # the guest still has it: the memory must stay
            raise
        core.leave_slot(self.slot)
        vm = self._vm()
        if vm is not None:
            vm._children.forget(self)

    def _delete(self, core: VmCore) -> None:
        core.call(
            lib.set_user_memory_region,
            "KVM_SET_USER_MEMORY_REGION",
            self.slot, 0, 0, 0, 0,
            slot=self.slot, size=0,
        )  # fmt: skip

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<MemorySlot {self.slot}{state} gpa {self.gpa:#x} size {self.size:#x}>"
