# SPDX-License-Identifier: Apache-2.0
"""Irqfds: eventfds that inject interrupts into the guest."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from typing import TYPE_CHECKING

from pykvm._binding import Binding
from pykvm._descriptor import HasFileno, check_int
from pykvm._native import lib
from pykvm.errors import KvmBusyError, failure
from pykvm.eventfd import EventFd, fdinfo
from pykvm.routing import FIRST_SPI, LAST_SPI

if TYPE_CHECKING:
    from pykvm._vmcore import VmCore
    from pykvm.interrupts import Interrupts

__all__ = ["Irqfd", "check_spi"]

_signal = lib.gate_signal


#: By the kernel's id of the eventfd: one eventfd feeds one irqfd, also of different VMs. (Kernels
#: before 6.17 take a second VM's and never deliver there.)
_bound: dict[int, weakref.ref[Irqfd]] = {}
#: Held while a claim is replaced or removed; reentrant, as a signal's handler may close an Irqfd.
_claiming = threading.RLock()


def _renew() -> None:
    """A forked child has the lock as a thread of the parent's left it."""
    global _claiming
    _claiming = threading.RLock()


os.register_at_fork(after_in_child=_renew)


class Irqfd(Binding):
    """An eventfd bound to an interrupt, made by :meth:`VM.irqfd`.

    Each signal raises the interrupt once; signals that come before the kernel has taken the last
    one are one. Whether the guest treats it as edge or level is the guest's choice (GICD_ICFGR;
    SPIs reset to edge, see :meth:`Vgic.trigger_of`).

    A level interrupt can only be raised here. With ``resample`` the guest's end lowers it again and
    signals :attr:`resample`; whoever still wants service signals once more
    (:class:`~pykvm.LevelLine` does). **Without it the line stays up, and the guest takes the
    interrupt again after each end, without end**, until :meth:`VM.irq_line` lowers it.

    On GICv3 hosts of kernels 7.2 and 7.3 the end is lost where the guest acknowledges and ends an
    interrupt without leaving in between; a driver that touches its emulated device never does that.

    Attributes: ``gsi``; ``trigger`` and ``resample``, the :class:`EventFd` to hand to others.

    Synchronization: inject() from any thread; close() waits for those under way.
    Source: api.rst 4.75.
    """

    __slots__ = ("_claimed", "_gate", "_identity", "_resample", "gsi")

    def __init__(
        self,
        vm: Interrupts,
        core: VmCore,
        gsi: int,
        eventfd: int | HasFileno | None,
        resample: bool | int | HasFileno,
    ) -> None:
        self.gsi = gsi
        self._identity: int | None = None
        self._claimed = weakref.ref(self)
        self._resample = _resample_eventfd(resample)
        try:
            super().__init__(vm, core, eventfd)
        except BaseException:
            self._let_go()
            raise
        self._gate = self._event._gate
        if self._resample is not None:
            self._resample._bound_to = "Irqfd"

    @property
    def resample(self) -> EventFd | None:
        """The eventfd that tells of each end of a level interrupt; None where it was not asked for.

        A duplicate of the one that was given, or one of its own.
        """
        return self._resample

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
        self._claim()
        if self._resample is None:
            self._irqfd(core, 0)
        else:
            self._irqfd(core, lib.KVM_IRQFD_FLAG_RESAMPLE, self._resample.fileno())

    def _deassign(self, core: VmCore) -> None:
        self._irqfd(core, lib.KVM_IRQFD_FLAG_DEASSIGN)

    def _irqfd(self, core: VmCore, flags: int, resamplefd: int = 0) -> None:
        fd = self._event.fileno()
        shown = {"resamplefd": resamplefd} if flags & lib.KVM_IRQFD_FLAG_RESAMPLE else {}
        core.call(
            lib.irqfd, "KVM_IRQFD", fd, self.gsi, flags, resamplefd,
            fd=fd, gsi=self.gsi, flags=flags, **shown,
        )  # fmt: skip

    def _claim(self) -> None:
        """Refuses what KVM would take, or refuse without saying why."""
        identity = fdinfo(self._event.fileno()).get("eventfd-id")
        if identity is None:
            return  # nobody can tell: the kernel's answer stands
        if self._resample and fdinfo(self._resample.fileno()).get("eventfd-id") == identity:
            raise ValueError(
                "eventfd and resample are the same eventfd: each end would raise the interrupt anew"
            )
        while (found := _bound.setdefault(identity, self._claimed)) is not self._claimed:
            if other := found():
                raise KvmBusyError(
                    errno.EBUSY, "KVM_IRQFD", {"gsi": self.gsi},
                    f"This eventfd already feeds {other!r}: one eventfd, one interrupt. Close "
                    f"that, or give this one an eventfd of its own. Nothing was sent to the "
                    f"kernel.",
                )  # fmt: skip
            _forget(identity, found)
        self._identity = identity

    def _let_go(self) -> None:
        # While the eventfd is open: once it is closed, the kernel gives its id to the next one.
        if self._identity is not None:
            _forget(self._identity, self._claimed)
        self._identity = None
        if self._resample is not None:
            self._resample._bound_to = ""
            self._resample.close()

    def close(self) -> None:
        """Takes the binding back from KVM, then closes the duplicates of the eventfds.

        A signal written after this has returned never reaches the guest; what was pending may
        still be taken. The last one with ``resample`` on its gsi lowers the line; without
        ``resample`` a level line stays up.
        """
        super().close()

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<Irqfd{state} gsi {self.gsi}{' resample' if self._resample else ''}>"


def _forget(identity: int, claimed: weakref.ref[Irqfd]) -> None:
    """Removes this claim, and no other that came meanwhile."""
    with _claiming:
        if _bound.get(identity) is claimed:
            _bound.pop(identity, None)


def _resample_eventfd(given: bool | int | HasFileno) -> EventFd | None:
    if given is False:
        return None
    return EventFd() if given is True else EventFd.adopt(given)


def check_spi(intid: int) -> int:
    """The number of an SPI, or a ValueError that says what it is instead."""
    intid = check_int("intid", intid, 0, 2**32 - 1)
    if intid < FIRST_SPI:
        raise ValueError(
            f"intid {intid} is {'an SGI' if intid < 16 else 'a PPI'}, private to one CPU: its "
            f"devices are wired inside the kernel, so an irqfd reaches SPIs only, 32 to 1019"
        )
    if intid > LAST_SPI:
        raise ValueError(f"intid {intid} is no SPI (32 to 1019); for an LPI, route a gsi to an MSI")
    return intid
