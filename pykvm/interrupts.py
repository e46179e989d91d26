# SPDX-License-Identifier: Apache-2.0
"""Interrupts into a VM and events out of it: that half of :class:`pykvm.VM`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from pykvm._descriptor import HasFileno, check_int
from pykvm._irqline import check_level, line_of, line_of_cpu
from pykvm._native import lib
from pykvm._vmcore import Children, VmCore
from pykvm.errors import KvmError
from pykvm.ioeventfd import Ioeventfd
from pykvm.irqfd import Irqfd, check_spi
from pykvm.routing import Route, pack_routes

__all__ = ["Interrupts"]

_spi_line = lib.spi_line


class Interrupts:
    """The part of a VM that drives interrupt lines and binds eventfds."""

    __slots__ = ("__weakref__", "_children", "_core")

    def __init__(self, core: VmCore) -> None:
        self._children = Children()
        self._core = core

    def irq_line(self, intid: int, level: int, *, vcpu_id: int | None = None) -> None:
        """KVM_IRQ_LINE: drives the line of an interrupt.

        Capability: IRQCHIP; ARM_IRQ_LINE_LAYOUT_2 for vCPUs above 255; arm64.

        Args: ``intid``: 32 to 1019 for an SPI; 16 to 31 for a PPI, which also needs ``vcpu_id``.
        ``level``: 0 or 1. An edge-triggered interrupt becomes pending at 1 and ignores 0. (Old
        kernels, as 6.1, take ``vcpu_id`` for the n-th vCPU that was made: make them in order.)
        Errors: ENXIO no GIC in the kernel, EINVAL beyond what the GIC was made for or no such vCPU,
        EBUSY a GICv3 that is not initialised (or a GICv2 of ours that is not).
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.25.
        """
        core = self._core
        if core.lazy_gicv2:
            core.refuse_lazy_gicv2("KVM_IRQ_LINE")
        if vcpu_id is None:
            try:
                if not _spi_line(core.fd, intid, level):
                    return
            except (TypeError, OverflowError):
                pass
        # A PPI, or something is wrong: the slow way finds the words.
        line, level = line_of(intid, vcpu_id), check_level(level)
        core.call(lib.irq_line, "KVM_IRQ_LINE", line, level, intid=intid, level=level)

    def irq_line_status(self, intid: int, level: int, *, vcpu_id: int | None = None) -> None:
        """KVM_IRQ_LINE_STATUS: :meth:`irq_line`, under another number.

        Capability: IRQCHIP, as arm64 has no IRQ_INJECT_STATUS; arm64.

        Args: ``intid``, ``level`` and ``vcpu_id`` as of irq_line(). arm64 tells no status.
        Errors: as of irq_line().
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.25.
        """
        if self._core.lazy_gicv2:
            self._core.refuse_lazy_gicv2("KVM_IRQ_LINE_STATUS")
        line, level = line_of(intid, vcpu_id), check_level(level)
        self._core.call(
            lib.irq_line_status, "KVM_IRQ_LINE_STATUS", line, level, intid=intid, level=level
        )

    def cpu_line(self, vcpu_id: int, level: int, *, fiq: bool = False) -> None:
        """KVM_IRQ_LINE on an input of a vCPU, for a VM whose interrupt controller is the VMM's.

        Capability: ARM_IRQ_LINE_LAYOUT_2 for vCPUs above 255; arm64.

        Args: ``vcpu_id``: as of irq_line(). ``level``: 0 or 1, and it stays so. ``fiq``: its FIQ
        input in place of its IRQ input.
        Errors: ENXIO the VM has a GIC in the kernel, EINVAL no such vCPU.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.25 (KVM_ARM_IRQ_TYPE_CPU).
        """
        line, level = line_of_cpu(vcpu_id, fiq), check_level(level)
        self._core.call(lib.irq_line, "KVM_IRQ_LINE", line, level, vcpu_id=vcpu_id, level=level)

    def irqfd(
        self,
        *,
        intid: int | None = None,
        gsi: int | None = None,
        eventfd: int | HasFileno | None = None,
        resample: bool | int | HasFileno = False,
        allow_unrouted: bool = False,
    ) -> Irqfd:
        """KVM_IRQFD: an eventfd becomes an interrupt of the guest.

        Capability: IRQFD; IRQFD_RESAMPLE for ``resample``.

        Args: exactly one of ``intid``, an SPI as the guest sees it (32 to 1019), and ``gsi``, an
        input of the routing table (after init(): intid = gsi + 32). ``eventfd``: one of one's own
        (non-blocking; it is duplicated); by default a new one. ``resample``: for level-triggered
        interrupts: True or an eventfd to be told when the guest has ended one; the line is lowered
        then. ``allow_unrouted``: binds a gsi that the routing table lacks (the kernel drops its
        signals in silence), or whose ends would not be told; an intid must have a route anyway.
        Returns: an :class:`Irqfd`; it stays bound while the VM is open, also if nobody keeps it.
        Errors: EAGAIN no initialised GIC, EBUSY the eventfd feeds another irqfd (of whatever VM),
        EBADF, EINVAL no eventfd; ValueError for a number that cannot work, with the reason.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.75; commit 174178fed338 ("KVM: arm/arm64: add irqfd support").
        """
        if (intid is None) == (gsi is None):
            raise TypeError("give exactly one of intid= and gsi=")
        routing = self._core.routing
        if intid is not None:
            number = routing.gsi_of(check_spi(intid))
        else:
            number = check_int("gsi", gsi, 0, 2**32 - 1)
        if not allow_unrouted:
            routing.check(number, resample=resample is not False)
        made = Irqfd(self, self._core, number, eventfd, resample)
        self._children.hold(made)
        return made

    def ioeventfd(
        self,
        gpa: int,
        size: int,
        *,
        datamatch: int | None = None,
        eventfd: int | HasFileno | None = None,
    ) -> Ioeventfd:
        """KVM_IOEVENTFD: a guest's store becomes a signal of an eventfd, without leaving KVM_RUN.

        Capability: IOEVENTFD; IOEVENTFD_ANY_LENGTH for ``size`` 0.

        Args: ``gpa``: the address stored to. ``size``: width of the store in bytes, 1, 2, 4 or 8;
        0 for any. ``datamatch``: only a store of this value; None for any. ``eventfd``: one of
        one's own (non-blocking; it is duplicated); by default a new one.
        Returns: an :class:`Ioeventfd`; it stays bound while the VM is open.
        Errors: EEXIST another one covers this store, EINVAL size, range or no eventfd, EBADF.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.59.
        """
        made = Ioeventfd(self, self._core, gpa, size, datamatch, eventfd)
        self._children.hold(made)
        return made

    def set_gsi_routing(self, routes: Iterable[Route]) -> None:
        """KVM_SET_GSI_ROUTING: replaces the whole table of where each gsi leads.

        Capability: IRQ_ROUTING.

        Args: ``routes``: :class:`~pykvm.SpiRoute` and :class:`~pykvm.MsiRoute` values, one per gsi;
        none empties the table. Irqfds that are bound follow it; a signal to a gsi without a route
        is lost. The GIC's init() puts its own table in place: set yours afterwards.
        Errors: ValueError a gsi beyond 4095 or twice, an intid that is no SPI; ENOMEM.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.52.
        """
        table, by_gsi = pack_routes(routes)
        core = self._core
        with contextlib.nullcontext() if core.inherited else core.routing_lock:
            before = core.routing.known()
            core.routing.forget()
            try:
                core.call(lib.set_gsi_routing, "KVM_SET_GSI_ROUTING", table, routes=len(by_gsi))
            except KvmError:
                core.routing.set(before)  # refused: the old table stands
                raise
            if core.gic_ready:  # before, the kernel may yet overwrite it
                core.routing.set(by_gsi)

    def signal_msi(self, address: int, data: int, *, devid: int | None = None) -> bool:
        """KVM_SIGNAL_MSI: sends one message to an ITS, as a device would.

        Capability: SIGNAL_MSI; MSI_DEVID on the VM says whether ``devid`` is needed.

        Args: ``address``: gpa of the doorbell (:attr:`VgicIts.doorbell`); ``data``: the event's
        number; ``devid``: the device's.
        Returns: True delivered, False the guest has not mapped this event.
        Errors: EINVAL no doorbell there or ``devid`` missing, ENODEV no ITS, EBUSY the guest has
        the ITS or its LPIs off.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.70.
        """
        address = check_int("address", address, 0, 2**64 - 1)
        data = check_int("data", data, 0, 2**32 - 1)
        flags = 0 if devid is None else lib.KVM_MSI_VALID_DEVID
        device = 0 if devid is None else check_int("devid", devid, 0, 2**32 - 1)
        sent = self._core.call(
            lib.signal_msi, "KVM_SIGNAL_MSI", address, data, device, flags,
            addr=address, data=data, devid=devid,
        )  # fmt: skip
        return bool(sent)
