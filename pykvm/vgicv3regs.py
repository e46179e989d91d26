# SPDX-License-Identifier: Apache-2.0
"""Registers of a virtual GICv3 that each vCPU has: that part of :class:`pykvm.VgicV3`."""

from __future__ import annotations

from pykvm._descriptor import Descriptor, check_int
from pykvm._native import lib
from pykvm._vgicaccess import mpidr_of, read, read_halves, write, write_halves
from pykvm.vgicregs import ICC, REDIST, find

__all__ = ["VgicV3Registers"]


class VgicV3Registers:
    """The part of a GICv3 that reads and writes what belongs to a vCPU, or its lines.

    A vCPU is named by its number or, where that was changed, by its MPIDR_EL1.
    """

    __slots__ = ()

    _core: Descriptor

    def get_redist_reg(
        self, reg: int | str, *, vcpu_id: int | None = None, mpidr: int | None = None
    ) -> int:
        """KVM_GET_DEVICE_ATTR of REDIST_REGS: a register of a vCPU's redistributor.

        Capability: DEVICE_CTRL.

        It reads as the guest reads it, but for GICR_ISPENDR0, which is the latch alone.
        Args: ``reg``: a name, as GICR_ISENABLER0, or an offset (those of SGIs and PPIs from 64 KiB
        on); ``vcpu_id`` or ``mpidr``: whose, by default the first one's.
        Returns: 32 bits; 64 of GICR_TYPER, GICR_PROPBASER, GICR_PENDBASER.
        Errors: EBUSY a vCPU is inside a call, or no init(); EINVAL no such vCPU; 0 where there is
        no register.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-v3.rst, REDIST_REGS; Arm IHI 0069.
        """
        name, offset, size = find(REDIST, reg)
        cpu, named = mpidr_of(vcpu_id, mpidr)
        group = lib.KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
        return read_halves(self._core, group, cpu | offset, size, reg=name, **named)

    def set_redist_reg(
        self, reg: int | str, value: int, *, vcpu_id: int | None = None, mpidr: int | None = None
    ) -> None:
        """KVM_SET_DEVICE_ATTR of REDIST_REGS: writes a register of a vCPU's redistributor.

        Capability: DEVICE_CTRL.

        As the guest's own store, but for GICR_ISPENDR0, whose zeros clear the latch.
        Args: ``reg``, ``vcpu_id``, ``mpidr``: as of :meth:`get_redist_reg`; ``value``: what it is
        to be.
        Errors: as of :meth:`get_redist_reg`; what is no register is ignored.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-v3.rst, REDIST_REGS; Arm IHI 0069.
        """
        name, offset, size = find(REDIST, reg)
        cpu, named = mpidr_of(vcpu_id, mpidr)
        group = lib.KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
        write_halves(self._core, group, cpu | offset, size, value, reg=name, **named)

    def get_cpu_sysreg(
        self, reg: int | str, *, vcpu_id: int | None = None, mpidr: int | None = None
    ) -> int:
        """KVM_GET_DEVICE_ATTR of CPU_SYSREGS: a system register of a vCPU's CPU interface.

        Capability: DEVICE_CTRL.

        Args: ``reg``: a name, as ICC_PMR_EL1, or the low 16 bits of :func:`pykvm.sysreg`;
        ``vcpu_id`` or ``mpidr``: whose, by default the first one's.
        Errors: ENOENT the vCPU has no such register (ICH_* and ICC_SRE_EL2: only with HAS_EL2,
        since Linux 6.17); EINVAL no such vCPU, or an ICC_APnR<n> beyond its priority bits; EBUSY a
        vCPU is inside a call, or no init().
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-v3.rst, CPU_SYSREGS; Arm IHI 0069.
        """
        name, attr, named = _sysreg_attr(reg, vcpu_id, mpidr)
        group = lib.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
        return read(self._core, group, attr, 8, reg=name, **named)

    def set_cpu_sysreg(
        self, reg: int | str, value: int, *, vcpu_id: int | None = None, mpidr: int | None = None
    ) -> None:
        """KVM_SET_DEVICE_ATTR of CPU_SYSREGS: writes a system register of a CPU interface.

        Capability: DEVICE_CTRL.

        Args: ``reg``, ``vcpu_id``, ``mpidr``: as of :meth:`get_cpu_sysreg`; ``value``: 64 bits.
        Errors: as of :meth:`get_cpu_sysreg`; EINVAL also ICC_SRE_EL1 without its enable bit, and an
        ICC_CTLR_EL1 with more priority or INTID bits than there are.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-v3.rst, CPU_SYSREGS; Arm IHI 0069.
        """
        name, attr, named = _sysreg_attr(reg, vcpu_id, mpidr)
        value = check_int("value", value, 0, 2**64 - 1)
        group = lib.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
        write(self._core, group, attr, 8, value, reg=name, **named)

    def get_level_info(
        self, intid: int, *, vcpu_id: int | None = None, mpidr: int | None = None
    ) -> int:
        """KVM_GET_DEVICE_ATTR of LEVEL_INFO: which of 32 lines are up.

        Capability: DEVICE_CTRL.

        Args: ``intid``: the first of them, a multiple of 32 below 1024; ``vcpu_id`` or ``mpidr``:
        whose PPIs, for 0 to 31; by default the first one's.
        Returns: 32 bits, bit n for INTID ``intid`` + n; 0 for edge-triggered ones.
        Errors: EINVAL no multiple of 32, or no such vCPU; EBUSY a vCPU is inside a call, or no
        init().
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-v3.rst, LEVEL_INFO.
        """
        attr, named = _level_attr(intid, vcpu_id, mpidr)
        return read(self._core, lib.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, attr, 4, **named)

    def set_level_info(
        self, intid: int, levels: int, *, vcpu_id: int | None = None, mpidr: int | None = None
    ) -> None:
        """KVM_SET_DEVICE_ATTR of LEVEL_INFO: raises and lowers 32 lines.

        Capability: DEVICE_CTRL.

        Args: ``intid``, ``vcpu_id``, ``mpidr``: as of :meth:`get_level_info`; ``levels``: 32 bits,
        bit n for INTID ``intid`` + n.
        Errors: as of :meth:`get_level_info`.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-v3.rst, LEVEL_INFO.
        """
        attr, named = _level_attr(intid, vcpu_id, mpidr)
        levels = check_int("levels", levels, 0, 2**32 - 1)
        write(self._core, lib.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, attr, 4, levels, **named)


def _sysreg_attr(
    reg: int | str, vcpu_id: int | None, mpidr: int | None
) -> tuple[str, int, dict[str, object]]:
    name, instruction, _ = find(ICC, reg)
    check_int("reg", instruction, 0, lib.KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK)
    cpu, named = mpidr_of(vcpu_id, mpidr)
    return name, cpu | instruction, named


def _level_attr(
    intid: int, vcpu_id: int | None, mpidr: int | None
) -> tuple[int, dict[str, object]]:
    intid = check_int("intid", intid, 0, 1023)
    cpu, named = mpidr_of(vcpu_id, mpidr)
    info = lib.VGIC_LEVEL_INFO_LINE_LEVEL << lib.KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT
    return cpu | info | intid, {"level_info_of": intid, **named}
