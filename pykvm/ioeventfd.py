# SPDX-License-Identifier: Apache-2.0
"""Ioeventfds: stores of the guest that signal an eventfd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm._binding import Binding
from pykvm._descriptor import HasFileno, check_int
from pykvm._native import lib
from pykvm.eventfd import EventFd

if TYPE_CHECKING:
    from pykvm._vmcore import VmCore
    from pykvm.interrupts import Interrupts

__all__ = ["Ioeventfd"]


class Ioeventfd(Binding):
    """A guest address whose stores signal an eventfd, made by :meth:`VM.ioeventfd`.

    The vCPU does not leave the kernel for it. Loads from the address exit as MMIO all the same.

    Attributes: ``gpa``; ``size`` (bytes, 0 any); ``datamatch`` (None any); ``eventfd``, the
    :class:`EventFd` to read or to hand to others.

    Synchronization: the eventfd has one consumer; close() from any thread.
    Source: api.rst 4.59.
    """

    __slots__ = ("datamatch", "gpa", "size")

    def __init__(
        self,
        vm: Interrupts,
        core: VmCore,
        gpa: int,
        size: int,
        datamatch: int | None,
        eventfd: int | HasFileno | None,
    ) -> None:
        gpa = check_int("gpa", gpa, 0, 2**64 - 1)
        size = check_int("size", size, 0, 8)
        if size not in (0, 1, 2, 4, 8):
            raise ValueError(f"size is {size}; it must be 0 (any), 1, 2, 4 or 8")
        if gpa + size > 2**64:
            raise ValueError(f"gpa {gpa:#x} with size {size} wraps around")
        if datamatch is not None:
            if size == 0:
                raise ValueError("a datamatch needs a size: a store of any width has no one value")
            datamatch = check_int("datamatch", datamatch, 0, 2 ** (8 * size) - 1)
        self.gpa = gpa
        self.size = size
        self.datamatch = datamatch
        super().__init__(vm, core, eventfd)

    @property
    def eventfd(self) -> EventFd:
        """The eventfd that is signalled: a duplicate of the one given, or one of its own."""
        return self._event

    def _assign(self, core: VmCore) -> None:
        self._ioeventfd(core, 0)

    def _deassign(self, core: VmCore) -> None:
        self._ioeventfd(core, lib.KVM_IOEVENTFD_FLAG_DEASSIGN)

    def _ioeventfd(self, core: VmCore, flags: int) -> None:
        if self.datamatch is not None:
            flags |= lib.KVM_IOEVENTFD_FLAG_DATAMATCH
        fd, match = self._event.fileno(), self.datamatch or 0
        core.call(
            lib.ioeventfd,
            "KVM_IOEVENTFD",
            fd, self.gpa, self.size, match, flags,
            gpa=self.gpa, size=self.size, datamatch=self.datamatch, fd=fd, flags=flags,
        )  # fmt: skip

    def __repr__(self) -> str:
        match = "" if self.datamatch is None else f" datamatch {self.datamatch:#x}"
        state = " closed" if self.closed else ""
        return f"<Ioeventfd{state} gpa {self.gpa:#x} size {self.size}{match}>"
