# SPDX-License-Identifier: Apache-2.0
"""Memory slots: which host memory a guest finds at which of its addresses."""

from __future__ import annotations

import contextlib
import errno
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pykvm._descriptor import Closing, check_int
from pykvm._native import lib
from pykvm._vmcore import VmCore
from pykvm.dirtylog import DirtyLog
from pykvm.errors import ClosedError, KvmBusyError, KvmError

if TYPE_CHECKING:
    from pykvm.guest_memfd import GuestMemfd
    from pykvm.memory import GuestMemory
    from pykvm.vmmemory import VmMemory

__all__ = ["Backing", "MemorySlot"]


class Backing(NamedTuple):
    """What is behind a slot: ``size`` bytes of a mapping or of a guest_memfd, from ``offset``."""

    memory: GuestMemory | None
    guest_memfd: GuestMemfd | None
    offset: int
    size: int

    def hold(self) -> tuple[object, int]:
        """What keeps it in place while that lives, and the hva of its first byte."""
        if self.guest_memfd is not None:
            return self.guest_memfd._hold(self.size, self.memory)
        assert self.memory is not None
        return self.memory._hold(self.offset, self.size)


class MemorySlot(DirtyLog, Closing):
    """A range of guest physical addresses, and what the guest finds there.

    Made by :meth:`VM.add_memory` on a :class:`GuestMemory`, or by :meth:`VM.add_guest_memfd` on a
    :class:`GuestMemfd`. Attributes: ``slot`` (its number), ``size`` (bytes), ``memory`` (None where
    the host cannot reach it), ``guest_memfd`` (or None), ``offset`` (where in that it starts),
    ``readonly``.

    Synchronization: any thread, also while vCPUs run; calls on one slot take turns.
    """

    __slots__ = (
        "__weakref__", "_bitmap", "_core", "_entered", "_gpa", "_hva", "_log_dirty", "_turn", "_vm",
        "guest_memfd", "memory", "offset", "readonly", "size", "slot",
    )  # fmt: skip

    def __init__(
        self,
        vm: VmMemory,
        core: VmCore,
        slot: int | None,
        gpa: int,
        backing: Backing,
        readonly: bool = False,
        log_dirty: bool = False,
    ) -> None:
        self._core: VmCore | None = None
        self._vm = weakref.ref(vm)
        # Reentrant only so that a signal's handler is refused instead of waiting for itself.
        self._turn = threading.RLock()
        self._entered = False
        self._bitmap = None
        self.slot = slot = core.take_slot(slot)
        self.memory, self.guest_memfd, self.offset, self.size = backing
        self.readonly = readonly
        self._gpa = gpa
        self._log_dirty = log_dirty
        try:
            # No local name for the hold: in a traceback it would keep the memory from closing.
            core.slots[slot], self._hva = backing.hold()
            if self.guest_memfd is None:
                self._set(core, gpa, log_dirty)
            else:
                fd = self.guest_memfd.fileno()
                core.call(
                    lib.set_guest_memfd_region,
                    "KVM_SET_USER_MEMORY_REGION2",
                    slot, gpa, self.size, self._hva, fd, self.offset,
                    slot=slot, gpa=gpa, size=self.size, guest_memfd=fd, offset=self.offset,
                )  # fmt: skip
        except (KvmError, ValueError):
            core.leave_slot(slot)
            self._unmap()
            raise
        self._core = core

    def _unmap(self) -> None:
        """Ends the slot's own mapping of a guest_memfd; other memory is the user's."""
        if self.guest_memfd is not None and self.memory is not None:
            with contextlib.suppress(BufferError):  # a view of the user's keeps it
                self.memory.close()

    def _set(self, core: VmCore, gpa: int, log_dirty: bool) -> None:
        """Tells KVM what this slot is, or is to be from now on."""
        flags = lib.KVM_MEM_READONLY if self.readonly else 0
        flags |= lib.KVM_MEM_LOG_DIRTY_PAGES if log_dirty else 0
        core.call(
            lib.set_user_memory_region,
            "KVM_SET_USER_MEMORY_REGION",
            self.slot, flags, gpa, self.size, self._hva,
            slot=self.slot, flags=flags, gpa=gpa, size=self.size, hva=self._hva,
        )  # fmt: skip

    @contextlib.contextmanager
    def _open(self, call: str) -> Iterator[VmCore]:
        """The VM's core, while the slot stays what it is.

        A slot that is closed in the middle of another call could be another one by the time that
        this call reaches KVM: larger than the bitmap that is to be filled, say.
        """
        if self._core is not None and self._core.inherited:
            yield self._core  # a forked child: KVM refuses, and the lock may be a thread's not here
            return
        with self._turn:
            if self._core is None:
                raise ClosedError(f"{call}: this MemorySlot is closed")
            if self._entered:
                raise KvmBusyError(
                    errno.EBUSY, call, {"slot": self.slot},
                    "A signal's handler interrupted another call on this slot: let that end first.",
                )  # fmt: skip
            try:
                self._entered = True
                yield self._core
            finally:
                self._entered = False

    @property
    def gpa(self) -> int:
        """The first guest physical address."""
        return self._gpa

    def move(self, gpa: int) -> None:
        """KVM_SET_USER_MEMORY_REGION: the guest finds it at ``gpa`` from now on.

        Capability: USER_MEMORY.

        Args: ``gpa``: a multiple of the host's page size.
        Errors: EEXIST the range overlaps another slot, EINVAL alignment, or it is a guest_memfd's;
        EFAULT beyond the guest's address space; ENOMEM.
        Synchronization: any thread; a guest that runs finds neither range for a moment.
        Source: api.rst 4.35.
        """
        gpa = check_int("gpa", gpa, 0, 2**64 - 1)
        with self._open("KVM_SET_USER_MEMORY_REGION") as core:
            self._set(core, gpa, self._log_dirty)
            self._gpa = gpa

    @property
    def log_dirty(self) -> bool:
        """Whether KVM notes which pages are written to; can be set, also while vCPUs run.

        True starts a log, clean unless the VM has it ``initially_set``; False ends it.
        Errors: EINVAL a guest_memfd, or memory of a device; ENOMEM.
        """
        return self._log_dirty

    @log_dirty.setter
    def log_dirty(self, log_dirty: bool) -> None:
        log_dirty = bool(log_dirty)
        with self._open("KVM_SET_USER_MEMORY_REGION") as core:
            if self.guest_memfd is None or log_dirty:
                self._set(core, self._gpa, log_dirty)
            self._log_dirty = log_dirty

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core is None

    def close(self) -> None:
        """Takes the range from the guest and lets go of the memory."""
        with contextlib.suppress(ClosedError), self._open("close MemorySlot") as core:
            core.take_back(lambda: self._delete(core))
            core.leave_slot(self.slot)  # not before: the guest would still have it
            self._core = None
            self._unmap()
            vm = self._vm()
            if vm is not None:
                vm._children.forget(self)

    def _delete(self, core: VmCore) -> None:
        try:
            core.call(
                lib.set_user_memory_region,
                "KVM_SET_USER_MEMORY_REGION",
                self.slot, 0, 0, 0, 0,
                slot=self.slot, size=0,
            )  # fmt: skip
        except KvmError as refusal:
            # What it says where there is nothing any more: an earlier close() was interrupted.
            if refusal.errno != errno.EINVAL:
                raise

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<MemorySlot {self.slot}{state} gpa {self.gpa:#x} size {self.size:#x}>"
