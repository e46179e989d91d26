# SPDX-License-Identifier: Apache-2.0
"""The virtual GICv2: its frames, its CPU interfaces, and its state as a whole."""

from __future__ import annotations

from collections.abc import Iterable

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm._vgicaccess import read, write
from pykvm.device import DeviceType
from pykvm.vgic import Vgic
from pykvm.vgicregs import V2_CPU, find
from pykvm.vgicstate import VgicState

__all__ = ["VgicV2"]


class VgicV2(Vgic):
    """A GICv2, for up to 8 vCPUs.

    pykvm refuses run(), irq_line() and registers before :meth:`init`: the kernel would initialise a
    GICv2 by itself and rewrite the routing table (``create_vgic(allow_implicit_init=True)`` lets
    it).

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

    def get_cpu_reg(self, reg: int | str, *, vcpu_id: int = 0) -> int:
        """KVM_GET_DEVICE_ATTR of CPU_REGS: a register of a vCPU's CPU interface.

        Capability: DEVICE_CTRL.

        GICC_PMR has the mask's upper five bits in bits 4-0; GICC_APR<n> has one bit for each
        preemption level, of both groups.
        Args: ``reg``: a name, as GICC_PMR, or an offset; ``vcpu_id``: whose.
        Errors: EBUSY a vCPU is inside a call; EINVAL no such vCPU; 0 where there is no register.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic.rst, CPU_REGS; Arm IHI 0048.
        """
        name, attr = self._cpu_attr(reg, vcpu_id)
        self._refuse_lazy("KVM_GET_DEVICE_ATTR")
        group = lib.KVM_DEV_ARM_VGIC_GRP_CPU_REGS
        return read(self._core, group, attr, 4, reg=name, vcpu_id=vcpu_id)

    def set_cpu_reg(self, reg: int | str, value: int, *, vcpu_id: int = 0) -> None:
        """KVM_SET_DEVICE_ATTR of CPU_REGS: writes a register of a vCPU's CPU interface.

        Capability: DEVICE_CTRL.

        Args: ``reg`` and ``vcpu_id``: as of :meth:`get_cpu_reg`; ``value``: 32 bits.
        Errors: as of :meth:`get_cpu_reg`; what is no register is ignored.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic.rst, CPU_REGS; Arm IHI 0048.
        """
        name, attr = self._cpu_attr(reg, vcpu_id)
        value = check_int("value", value, 0, 2**32 - 1)
        self._refuse_lazy("KVM_SET_DEVICE_ATTR")
        group = lib.KVM_DEV_ARM_VGIC_GRP_CPU_REGS
        write(self._core, group, attr, 4, value, reg=name, vcpu_id=vcpu_id)

    def _cpu_attr(self, reg: int | str, vcpu_id: int) -> tuple[str, int]:
        name, offset, _ = find(V2_CPU, reg)
        vcpu_id = check_int("vcpu_id", vcpu_id, 0, 0xFF)
        return name, vcpu_id << lib.KVM_DEV_ARM_VGIC_CPUID_SHIFT | offset

    def save(self) -> VgicState:
        """The whole state of the GIC, as a plain value.

        A GICv2 does not tell lines: an interrupt whose line is up reads as pending, and
        :meth:`VgicState.lines_up` lists those that may be. It does not tell either from which CPU
        an active SGI came.
        Raises KvmBusyError while a vCPU is inside a call: kick them out first.
        """
        from pykvm import vgicv2state

        return vgicv2state.save(self)

    def restore(self, state: VgicState, *, lines_up: Iterable[tuple[int, int | None]] = ()) -> None:
        """Makes the GIC what it was; for one whose vCPUs have not run, initialised and placed.

        Lines are not part of it: raise each that is up, with :meth:`VM.irq_line`, after this.
        ``lines_up`` names them before, as (intid, vcpu_id), vcpu_id None for an SPI: they are not
        made pending here, as the line will do that. One that is not named is made pending by
        itself, and taken once even if its device has lowered the line by then. The timers'
        interrupts (27 and 30) belong there where the saved state has them pending: KVM drives
        their lines.
        ValueError, with nothing changed, where the state is of a GIC of another shape: version,
        nr_irqs, addresses, vCPUs. KvmBusyError while a vCPU is inside a call.
        """
        from pykvm import vgicv2state

        vgicv2state.restore(self, state, lines_up)
