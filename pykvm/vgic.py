# SPDX-License-Identifier: Apache-2.0
"""The virtual GIC: the interrupt controller that KVM emulates in the kernel."""

from __future__ import annotations

import struct
import sys
from typing import ClassVar, Literal

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm.device import Device, DeviceType
from pykvm.routing import FIRST_SPI, LAST_SPI

__all__ = ["Vgic", "VgicV2", "VgicV3"]

#: What init() makes of a GIC whose nr_irqs nobody set.
DEFAULT_NR_IRQS = 256
_U64 = 2**64 - 1
#: Offset of the distributor's trigger configuration, two bits for each INTID.
_GICD_ICFGR = 0xC00


class Vgic(Device):
    """A virtual GIC; see :class:`VgicV2` and :class:`VgicV3`.

    The order that always works: create every vCPU, make the GIC, set nr_irqs and addresses,
    :meth:`init`; then GSI routing, irqfds and attributes of vCPUs that name interrupts; then run.

    - vCPUs come before init(), which fixes their number.
    - nr_irqs (and a GICv3's maint_irq) can be set before init() alone.
    - Addresses are guest physical, in bytes. Each can be set once, also after init(), and must be
      there before the first run: a missing one kills the VM (ENXIO from KVM_RUN).
    - init() replaces the routing table; without init() irqfds are refused (EAGAIN).

    Synchronization: any thread; its attributes answer EBUSY while a vCPU is inside a call.
    """

    __slots__ = ()

    version: ClassVar[int]
    device_type: ClassVar[DeviceType]

    @property
    def nr_irqs(self) -> int:
        """Interrupts in all, with the 32 private ones: 64 to 992, a multiple of 32.

        Reads 32 while unset. Set it once, before init(), which otherwise takes 256.
        Errors: EINVAL out of range, EBUSY set before or initialised.
        Source: devices/arm-vgic.rst, KVM_DEV_ARM_VGIC_GRP_NR_IRQS.
        """
        data = self.get_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, bytes(4))
        return int.from_bytes(data, "little")

    @nr_irqs.setter
    def nr_irqs(self, count: int) -> None:
        count = check_int("nr_irqs", count, 0, 2**32 - 1)
        data = struct.pack("=I", count)
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, data)

    def init(self) -> None:
        """KVM_SET_DEVICE_ATTR, CTRL_INIT: after every vCPU is created, before irqfds and run.

        Capability: DEVICE_CTRL.

        It routes gsi n to SPI n + 32, replacing what was routed before. A second init() changes
        nothing.
        Errors: EBUSY a vCPU is being created, ENOMEM.
        Synchronization: any thread.
        Source: devices/arm-vgic.rst and arm-vgic-v3.rst, KVM_DEV_ARM_VGIC_GRP_CTRL.
        """
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_VGIC_CTRL_INIT)
        vm_core = self._vm_core
        if vm_core is not None:
            vm_core.lazy_gicv2 = False
            if not vm_core.gic_ready:  # a second init() leaves the table as it is
                vm_core.gic_ready = True
                vm_core.routing.set_default(self.nr_irqs)

    def trigger_of(self, intid: int) -> Literal["edge", "level"]:
        """KVM_GET_DEVICE_ATTR of GICD_ICFGR: how the guest has configured an SPI.

        Capability: DEVICE_CTRL.

        To see why a level interrupt behaves like an edge: SPIs reset to edge, and the guest has to
        say otherwise before the device raises its line.
        Args: ``intid``: 32 to nr_irqs - 1.
        Errors: EBUSY a vCPU is inside a call (kick it; an idle guest counts), or a GIC without
        init().
        Synchronization: any thread, while no vCPU runs.
        Source: Arm IHI 0069, GICD_ICFGR<n>; devices/arm-vgic.rst and arm-vgic-v3.rst, DIST_REGS.
        """
        intid = check_int("intid", intid, FIRST_SPI, LAST_SPI)
        vm_core = self._vm_core
        if vm_core is not None and vm_core.lazy_gicv2:
            vm_core.refuse_lazy_gicv2("KVM_GET_DEVICE_ATTR")
        register = _GICD_ICFGR + 4 * (intid // 16)
        data = self.get_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_DIST_REGS, register, bytes(4))
        fields = int.from_bytes(data, sys.byteorder)
        return "edge" if fields >> 2 * (intid % 16) & 2 else "level"

    def _get_addr(self, attr: int) -> int:
        data = self.get_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_ADDR, attr, bytes(8))
        return int.from_bytes(data, "little")

    def _set_addr(self, name: str, attr: int, gpa: int) -> None:
        gpa = check_int(name, gpa, 0, _U64)
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_ADDR, attr, struct.pack("=Q", gpa))


class VgicV2(Vgic):
    """A GICv2, for up to 8 vCPUs.

    pykvm refuses run() and irq_line() before :meth:`init`: the kernel would initialise a GICv2 by
    itself and rewrite the routing table (``create_vgic(allow_implicit_init=True)`` lets it).

    Source: Documentation/virt/kvm/devices/arm-vgic.rst.
    """

    __slots__ = ()

    version = 2
    device_type = DeviceType.ARM_VGIC_V2

    @property
    def dist_addr(self) -> int:
        """gpa of the distributor: 4 KiB, aligned to as much. All ones while unset.

        Errors: EEXIST set before, EINVAL alignment or overlap, E2BIG beyond the address space.
        """
        return self._get_addr(lib.KVM_VGIC_V2_ADDR_TYPE_DIST)

    @dist_addr.setter
    def dist_addr(self, gpa: int) -> None:
        self._set_addr("dist_addr", lib.KVM_VGIC_V2_ADDR_TYPE_DIST, gpa)

    @property
    def cpu_addr(self) -> int:
        """gpa of the CPU interface: 8 KiB, aligned to 4 KiB. All ones while unset.

        Errors: EEXIST set before, EINVAL alignment or overlap, E2BIG beyond the address space.
        """
        return self._get_addr(lib.KVM_VGIC_V2_ADDR_TYPE_CPU)

    @cpu_addr.setter
    def cpu_addr(self, gpa: int) -> None:
        self._set_addr("cpu_addr", lib.KVM_VGIC_V2_ADDR_TYPE_CPU, gpa)


class VgicV3(Vgic):
    """A GICv3, for up to 512 vCPUs.

    Source: Documentation/virt/kvm/devices/arm-vgic-v3.rst.
    """

    __slots__ = ()

    version = 3
    device_type = DeviceType.ARM_VGIC_V3

    @property
    def dist_addr(self) -> int:
        """gpa of the distributor: 64 KiB, aligned to as much. All ones while unset.

        Errors: EEXIST set before, EINVAL alignment or overlap, E2BIG beyond the address space.
        """
        return self._get_addr(lib.KVM_VGIC_V3_ADDR_TYPE_DIST)

    @dist_addr.setter
    def dist_addr(self, gpa: int) -> None:
        self._set_addr("dist_addr", lib.KVM_VGIC_V3_ADDR_TYPE_DIST, gpa)

    @property
    def redist_addr(self) -> int:
        """gpa of one region for all redistributors: 128 KiB per vCPU, aligned to 64 KiB.

        Excludes :meth:`add_redist_region`.
        Errors: EEXIST set before, EINVAL alignment, overlap or regions in use, E2BIG beyond the
        address space.
        """
        return self._get_addr(lib.KVM_VGIC_V3_ADDR_TYPE_REDIST)

    @redist_addr.setter
    def redist_addr(self, gpa: int) -> None:
        self._set_addr("redist_addr", lib.KVM_VGIC_V3_ADDR_TYPE_REDIST, gpa)

    @property
    def maint_irq(self) -> int:
        """INTID of the PPI by which a guest that is a hypervisor hears of its own virtual GIC.

        0 while unset: init() then takes 25. Before init() alone; since Linux 6.15.
        Errors: EINVAL no PPI (16 to 31), EBUSY initialised, ENXIO an older kernel.
        Source: devices/arm-vgic-v3.rst, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ.
        """
        data = self.get_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, bytes(4))
        return int.from_bytes(data, "little")

    @maint_irq.setter
    def maint_irq(self, intid: int) -> None:
        intid = check_int("maint_irq", intid, 0, 2**32 - 1)
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, struct.pack("=I", intid))

    def add_redist_region(self, gpa: int, count: int, *, index: int) -> None:
        """KVM_SET_DEVICE_ATTR, a region of ``count`` redistributors at ``gpa``.

        Capability: DEVICE_CTRL.

        Args: ``gpa``: bytes, a multiple of 64 KiB; ``count``: 1 to 4095 redistributors of 128 KiB;
        ``index``: 0 for the first region, then 1, 2, …
        Errors: EINVAL index out of order, overlap or redist_addr in use, E2BIG beyond the address
        space.
        Synchronization: any thread.
        Source: devices/arm-vgic-v3.rst, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION.
        """
        gpa = check_int("gpa", gpa, 0, 2**52 - 1)
        count = check_int("count", count, 1, 4095)
        index = check_int("index", index, 0, 4095)
        if gpa % 0x10000:
            raise ValueError(f"gpa {gpa:#x} is no multiple of 64 KiB")
        value = count << 52 | gpa | index
        self._set_addr("region", lib.KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, value)
