# SPDX-License-Identifier: Apache-2.0
"""Saving and restoring a GICv3 and its ITSs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pykvm._descriptor import check_ints
from pykvm._native import lib
from pykvm._vgicaccess import AFFINITY, UNSET, affinity_of, mpidr_of
from pykvm.itsstate import check_its, restore_its, save_its, sorted_its
from pykvm.vgicregs import ICC, REDIST, V3_DIST, find
from pykvm.vgicshape import (
    check_identity,
    check_registers,
    check_state,
    differs,
    per_intid,
    quieting,
    writable,
)
from pykvm.vgicstate import SCHEMA, Registers, VgicCpuState, VgicState

if TYPE_CHECKING:
    from pykvm.its import VgicIts
    from pykvm.vgicv3 import VgicV3

__all__ = ["restore", "save"]

_ALL = 2**32 - 1
_IDENTITY = ("GICD_IIDR", "GICD_TYPER", "GICD_TYPER2")
#: In this order: an interrupt goes to whoever its route and group say when it becomes pending.
_SETTINGS = ("IGROUPR", "IPRIORITYR", "ICFGR")
_STATES = ("ISENABLER", "ISPENDR", "ISACTIVER")
_TYPER_LPIS = 1 << 17
_CTLR_ENABLE_LPIS = 1
#: The tables of LPIs before the bit that switches these on, which makes the first fixed.
_REDIST = [
    "GICR_TYPER", "GICR_PROPBASER", "GICR_PENDBASER", "GICR_CTLR",
    *per_intid(REDIST, [f"GICR_{name}" for name in _SETTINGS + _STATES], 0, 32),
]  # fmt: skip
#: ICC_CTLR_EL1 before what depends on it: how many active priorities there are, and BPR1.
_INTERFACE = ["ICC_SRE_EL1", "ICC_CTLR_EL1", "ICC_PMR_EL1", "ICC_BPR0_EL1", "ICC_BPR1_EL1"]
_GROUPS = ["ICC_IGRPEN0_EL1", "ICC_IGRPEN1_EL1"]
_EL2 = ["ICH_VTR_EL2", "ICC_SRE_EL2", "ICH_HCR_EL2", "ICH_VMCR_EL2"]


def _shared(nr_irqs: int) -> list[str]:
    families = ("GICD_IROUTER", *(f"GICD_{name}" for name in _SETTINGS + _STATES))
    return [*_IDENTITY, "GICD_CTLR", *per_intid(V3_DIST, families, 32, nr_irqs)]


def _priority_bits(icc_ctlr: int) -> int:
    return (icc_ctlr >> 8 & 7) + 1


def _interface(priority_bits: int, has_el2: bool) -> list[str]:
    """The CPU interface's registers, of which the priority bits say how many there are."""
    indexes = range({7: 4, 6: 2}.get(priority_bits, 1))
    active = [f"AP{group}R{n}" for group in (0, 1) for n in indexes]
    el1 = [*_INTERFACE, *(f"ICC_{name}_EL1" for name in active), *_GROUPS]
    lrs = [f"LR{n}" for n in range(16)]
    return el1 + [*_EL2, *(f"ICH_{name}_EL2" for name in active + lrs)] * has_el2


def _has_el2(vgic: VgicV3, mpidr: int) -> bool:
    attr = mpidr_of(None, mpidr)[0] | find(ICC, "ICH_HCR_EL2")[1]
    return vgic.has_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, attr)


def _setup(vgic: VgicV3) -> Registers:
    setup = [("dist_addr", vgic.dist_addr)]
    for number, (gpa, room) in enumerate(vgic.redist_regions):
        setup += [(f"redist_region{number}", gpa), (f"redist_room{number}", room)]
    if vgic.has_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0):
        setup += [("maint_irq", vgic.maint_irq)]
    return tuple((name, value) for name, value in setup if value != UNSET)


def _cpus(vgic: VgicV3, mpidrs: Iterable[int] | None) -> list[int]:
    if mpidrs is not None:
        return [mpidr & AFFINITY for mpidr in check_ints("mpidrs", mpidrs, 0, 2**64 - 1)]
    if (made := _made_here(vgic)) is None:
        raise ValueError("vCPUs of this VM were made elsewhere: name them all, by mpidrs=")
    return made


def _made_here(vgic: VgicV3) -> list[int] | None:
    """The affinities of all vCPUs, or None where more may have been made elsewhere."""
    vm_core = vgic._vm_core
    made = vm_core.vcpu_ids if vm_core else None
    return made and [affinity_of(vcpu_id) for vcpu_id in made]


def save(vgic: VgicV3, its: Iterable[VgicIts], mpidrs: Iterable[int] | None) -> VgicState:
    """The state of a GICv3 whose vCPUs are stopped."""
    frames = sorted_its(its)
    nr_irqs = vgic.nr_irqs
    mpidrs = _cpus(vgic, mpidrs)
    _check_its_given(vgic, frames)
    if frames:
        vgic.save_pending_tables()
    distributor = tuple((name, vgic.get_dist_reg(name)) for name in _shared(nr_irqs))
    levels = tuple(vgic.get_level_info(intid) for intid in range(32, nr_irqs, 32))
    cpus = tuple(_save_cpu(vgic, mpidr) for mpidr in mpidrs)
    saved = tuple(save_its(frame) for frame in frames)
    return VgicState(SCHEMA, 3, nr_irqs, _setup(vgic), distributor, cpus, levels, saved)


def _save_cpu(vgic: VgicV3, mpidr: int) -> VgicCpuState:
    bits = _priority_bits(vgic.get_cpu_sysreg("ICC_CTLR_EL1", mpidr=mpidr))
    names = _interface(bits, _has_el2(vgic, mpidr))
    return VgicCpuState(
        mpidr,
        tuple((name, vgic.get_redist_reg(name, mpidr=mpidr)) for name in _REDIST),
        tuple((name, vgic.get_cpu_sysreg(name, mpidr=mpidr)) for name in names),
        vgic.get_level_info(0, mpidr=mpidr),
    )


def _check_its_given(vgic: VgicV3, frames: Sequence[VgicIts]) -> None:
    if bool(vgic.get_dist_reg("GICD_TYPER") & _TYPER_LPIS) != bool(frames):
        raise ValueError(
            "its has none of the VM's ITSs, without which its LPIs would be lost"
            if not frames
            else "its has ITSs, but this VM has none"
        )


def restore(vgic: VgicV3, state: VgicState, its: Iterable[VgicIts]) -> None:
    """Makes a GICv3 what it was. Nothing is written before all was looked at."""
    frames = sorted_its(its)
    _check(vgic, state, frames)
    # What is there of an earlier life is in the way of what comes: mappings, tables of LPIs.
    for frame in frames:
        frame.reset()
    for cpu in state.cpus:
        if vgic.get_redist_reg("GICR_CTLR", mpidr=cpu.cpu) & _CTLR_ENABLE_LPIS:
            vgic.set_redist_reg("GICR_CTLR", 0, mpidr=cpu.cpu)
    for name in quieting(state.distributor):
        vgic.set_dist_reg(name, _ALL)
    for name, value in writable(state.distributor):
        vgic.set_dist_reg(name, value)
    for cpu in state.cpus:
        _restore_cpu(vgic, cpu)
    for number, level in enumerate(state.levels, start=1):
        vgic.set_level_info(32 * number, level)
    for frame, saved in zip(frames, state.its, strict=True):
        restore_its(frame, saved)


def _restore_cpu(vgic: VgicV3, cpu: VgicCpuState) -> None:
    for name in quieting(cpu.private):
        vgic.set_redist_reg(name, _ALL, mpidr=cpu.cpu)
    for name, value in writable(cpu.private):
        # A table that is 0 was never given, and writing that would make it something.
        if "BASER" not in name or value != vgic.get_redist_reg(name, mpidr=cpu.cpu):
            vgic.set_redist_reg(name, value, mpidr=cpu.cpu)
    for name, value in cpu.interface:
        vgic.set_cpu_sysreg(name, value, mpidr=cpu.cpu)
    vgic.set_level_info(0, cpu.levels or 0, mpidr=cpu.cpu)


def _check(vgic: VgicV3, state: VgicState, frames: Sequence[VgicIts]) -> None:
    setup = _setup(vgic)
    check_state(state, 3, vgic.nr_irqs, setup)
    if not {"dist_addr", "redist_region0"} <= dict(setup).keys():
        raise ValueError("this GIC has no place yet: set dist_addr and redist_addr first")
    check_registers("the distributor", V3_DIST, state.distributor, _shared(state.nr_irqs))
    if len(state.levels) != state.nr_irqs // 32 - 1:
        raise ValueError("levels in this state are not as many as its nr_irqs asks for")
    check_identity(state.distributor, [(name, vgic.get_dist_reg(name)) for name in _IDENTITY])
    here = _made_here(vgic)
    if here is not None and len(here) != len(state.cpus):
        raise differs("the number of vCPUs", len(state.cpus), len(here))
    for cpu in state.cpus:
        _check_cpu(vgic, cpu)
    check_its(state.its, frames)


def _check_cpu(vgic: VgicV3, cpu: VgicCpuState) -> None:
    who = f"vCPU {cpu.cpu:#x}"
    check_registers(f"the redistributor of {who}", REDIST, cpu.private, _REDIST)
    interface = dict(cpu.interface)
    ctlr, has_el2 = interface.get("ICC_CTLR_EL1", 0), "ICH_HCR_EL2" in interface
    names = _interface(_priority_bits(ctlr), has_el2)
    check_registers(f"the interface of {who}", ICC, cpu.interface, names)
    check_identity(cpu.private, [("GICR_TYPER", vgic.get_redist_reg("GICR_TYPER", mpidr=cpu.cpu))])
    if has_el2 != (el2_here := _has_el2(vgic, cpu.cpu)):
        raise differs(f"EL2 of {who}", has_el2, el2_here)
    here = vgic.get_cpu_sysreg("ICC_CTLR_EL1", mpidr=cpu.cpu)
    if _priority_bits(ctlr) > _priority_bits(here):
        raise differs("the number of priority bits", _priority_bits(ctlr), _priority_bits(here))
