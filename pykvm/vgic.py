# SPDX-License-Identifier: Apache-2.0
"""The virtual GIC: the interrupt controller that KVM emulates in the kernel."""

from __future__ import annotations

import struct
from typing import ClassVar, Literal

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm._vgicaccess import read_halves, write_halves
from pykvm.device import Device, DeviceType
from pykvm.routing import FIRST_SPI, LAST_SPI
from pykvm.vgicregs import V2_DIST, V3_DIST, find

__all__ = ["Vgic"]

#: What init() makes of a GIC whose nr_irqs nobody set.
DEFAULT_NR_IRQS = 256
_U64 = 2**64 - 1


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
        vm_core = self._vm_core
        if vm_core is None or vm_core.inherited:  # refused, and the lock is not to be touched
            self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_VGIC_CTRL_INIT)
            return
        with vm_core.routing_lock:
            self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_VGIC_CTRL_INIT)
            vm_core.lazy_gicv2 = False
            if not vm_core.gic_ready:  # a second init() leaves the table as it is
                vm_core.gic_ready = True
                vm_core.routing.set_default(self.nr_irqs)

    def get_dist_reg(self, reg: int | str, *, vcpu_id: int = 0) -> int:
        """KVM_GET_DEVICE_ATTR of DIST_REGS: a register of the distributor.

        Capability: DEVICE_CTRL.

        It reads as the guest reads it, but for a GICv3's GICD_ISPENDR<n>, which is the latch alone:
        the line is told by :meth:`VgicV3.get_level_info`.
        Args: ``reg``: a name, as GICD_ISENABLER1, or an offset; ``vcpu_id``: on a GICv2, whose bank
        is meant where the register has one for each CPU (what concerns INTIDs 0 to 31).
        Returns: 32 bits; 64 of GICD_IROUTER<n>.
        Errors: EBUSY a vCPU is inside a call (kick it; an idle guest counts), or a GIC without
        init(); EINVAL no such vCPU; ENXIO or 0 no register there.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic.rst and arm-vgic-v3.rst, DIST_REGS; Arm IHI 0048 and IHI 0069.
        """
        name, attr, size = self._dist_attr(reg, vcpu_id)
        self._refuse_lazy("KVM_GET_DEVICE_ATTR")
        group = lib.KVM_DEV_ARM_VGIC_GRP_DIST_REGS
        return read_halves(self._core, group, attr, size, reg=name, vcpu_id=vcpu_id)

    def set_dist_reg(self, reg: int | str, value: int, *, vcpu_id: int = 0) -> None:
        """KVM_SET_DEVICE_ATTR of DIST_REGS: writes a register of the distributor.

        Capability: DEVICE_CTRL.

        As the guest's own store, but for a GICv3's GICD_ISPENDR<n>, whose zeros clear the latch
        (GICD_ICPENDR<n> is ignored), and for GICD_IIDR, whose revision can be chosen.
        Args: ``reg`` and ``vcpu_id``: as of :meth:`get_dist_reg`; ``value``: what it is to be.
        Errors: as of :meth:`get_dist_reg`; EINVAL also a value that GICD_IIDR cannot have.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic.rst and arm-vgic-v3.rst, DIST_REGS; Arm IHI 0048 and IHI 0069.
        """
        name, attr, size = self._dist_attr(reg, vcpu_id)
        value = check_int("value", value, 0, 2 ** (8 * size) - 1)
        self._refuse_lazy("KVM_SET_DEVICE_ATTR")
        group = lib.KVM_DEV_ARM_VGIC_GRP_DIST_REGS
        write_halves(self._core, group, attr, size, value, reg=name, vcpu_id=vcpu_id)

    def _dist_attr(self, reg: int | str, vcpu_id: int) -> tuple[str, int, int]:
        name, offset, size = find(V2_DIST if self.version == 2 else V3_DIST, reg)
        vcpu_id = check_int("vcpu_id", vcpu_id, 0, 0xFF)  # a GICv3 does not look at it
        return name, vcpu_id << lib.KVM_DEV_ARM_VGIC_CPUID_SHIFT | offset, size

    def _refuse_lazy(self, ioctl: str) -> None:
        vm_core = self._vm_core
        if vm_core is not None and vm_core.lazy_gicv2:
            vm_core.refuse_lazy_gicv2(ioctl)

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
        bits = self.get_dist_reg(f"GICD_ICFGR{intid // 16}")
        return "edge" if bits >> 2 * (intid % 16) & 2 else "level"

    def _get_addr(self, attr: int) -> int:
        data = self.get_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_ADDR, attr, bytes(8))
        return int.from_bytes(data, "little")

    def _set_addr(self, name: str, attr: int, gpa: int) -> None:
        gpa = check_int(name, gpa, 0, _U64)
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_ADDR, attr, struct.pack("=Q", gpa))
