# SPDX-License-Identifier: Apache-2.0
"""Irqfds: eventfds that inject interrupts into the guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm._binding import Binding
from pykvm._descriptor import HasFileno, check_int
from pykvm._native import lib
from pykvm.errors import failure
from pykvm.eventfd import EventFd
from pykvm.routing import FIRST_SPI, LAST_SPI

if TYPE_CHECKING:
    from pykvm._vmcore import VmCore
    from pykvm.vm import VM

__all__ = ["Irqfd", "gsi_of"]

_signal = lib.gate_signal


class Irqfd(Binding):
    """An eventfd bound to an interrupt, made by :meth:`VM.irqfd`.

    Each signal makes the interrupt pending once; signals that come before the kernel has taken the
    last one are one interrupt. Whether the guest treats it as edge or level is the guest's choice
    (GICD_ICFGR; SPIs reset to edge). A level interrupt without a resamplefd stays up and is taken
    again after each end, until KVM_IRQ_LINE lowers it.

    Attributes: ``gsi``; ``trigger``, the :class:`EventFd` to hand to others.

    Synchronization: inject() from any thread; close() waits for those under way.
    Source: api.rst 4.75.
    """

    __slots__ = ("_gate", "gsi")

    def __init__(self, vm: VM, core: VmCore, gsi: int, eventfd: int | HasFileno | None) -> None:
        self.gsi = gsi
        super().__init__(vm, core, eventfd)
        self._gate = self._event._gate

    @property
    def trigger(self) -> EventFd:
        """The eventfd that injects: a duplicate of the one that was given, or one of its own."""
        return self._event

    def inject(self) -> None:
        """Signals the eventfd: the guest gets the interrupt.

        Errors: ClosedError after close(), also for an ``inject`` kept from before: a reused
        descriptor number is never written to. EAGAIN the counter is full: KVM has stopped reading.
        """
        result = _signal(self._gate)
        if result < 0:
            raise failure(
                result, "eventfd write", "Irqfd", -1 if self._core is None else 0, gsi=self.gsi
            )

    def _assign(self, core: VmCore) -> None:
        self._irqfd(core, 0)

    def _deassign(self, core: VmCore) -> None:
        self._irqfd(core, lib.KVM_IRQFD_FLAG_DEASSIGN)

    def _irqfd(self, core: VmCore, flags: int) -> None:
        fd = self._event.fileno()
        core.call(lib.irqfd, "KVM_IRQFD", fd, self.gsi, flags, 0, fd=fd, gsi=self.gsi, flags=flags)

    def __repr__(self) -> str:
        return f"<Irqfd{' closed' if self.closed else ''} gsi {self.gsi}>"


def gsi_of(intid: int | None, gsi: int | None) -> int:
    """The input of the routing table that exactly one of the two means."""
    if (intid is None) == (gsi is None):
        raise TypeError("give exactly one of intid= and gsi=")
    if intid is None:
        return check_int("gsi", gsi, 0, 2**32 - 1)
    intid = check_int("intid", intid, 0, 2**32 - 1)
    if intid < FIRST_SPI:
        raise ValueError(
            f"intid {intid} is {'an SGI' if intid < 16 else 'a PPI'}, private to one CPU: its "
            f"devices are wired inside the kernel, so an irqfd reaches SPIs only, 32 to 1019"
        )
    if intid > LAST_SPI:
        raise ValueError(f"intid {intid} is no SPI (32 to 1019); for an LPI, route a gsi to an MSI")
    return intid - FIRST_SPI
