# SPDX-License-Identifier: Apache-2.0
"""Saving and restoring a GICv2."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pykvm._descriptor import check_int
from pykvm._irqline import line_of
from pykvm._vgicaccess import UNSET
from pykvm.errors import KvmError
from pykvm.vgicregs import V2_CPU, V2_DIST, fields
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
    from pykvm.vgicv2 import VgicV2

__all__ = ["restore", "save"]

_MOST_CPUS = 8
_ALL = 2**32 - 1
_SGIS = 0xFFFF
_IDENTITY = ("GICD_IIDR", "GICD_TYPER")
#: In this order: an interrupt goes to whoever its target and group say when it becomes pending.
_SETTINGS = ("GICD_IGROUPR", "GICD_IPRIORITYR", "GICD_ICFGR")
_STATES = ("GICD_ISENABLER", "GICD_ISPENDR", "GICD_ISACTIVER")
_INTERFACE = ["GICC_CTLR", "GICC_PMR", "GICC_BPR", "GICC_ABPR"] + [f"GICC_APR{n}" for n in range(4)]
_PRIVATE = [
    *per_intid(V2_DIST, _SETTINGS + _STATES, 0, 32),
    *(f"GICD_SPENDSGIR{n}" for n in range(4)),
]


def _shared(nr_irqs: int) -> list[str]:
    """The distributor's registers that all CPUs see alike."""
    families = ("GICD_ITARGETSR", *_SETTINGS, *_STATES)
    return [*_IDENTITY, "GICD_CTLR", *per_intid(V2_DIST, families, 32, nr_irqs)]


def _cpus(vgic: VgicV2) -> list[int]:
    """The numbers of the VM's vCPUs, which no register tells when they have gaps."""
    found = []
    for vcpu_id in range(_MOST_CPUS):
        try:
            vgic.get_cpu_reg("GICC_IIDR", vcpu_id=vcpu_id)
        except KvmError as refusal:
            if refusal.errno != errno.EINVAL:
                raise
        else:
            found.append(vcpu_id)
    return found


def _setup(vgic: VgicV2) -> Registers:
    frames = (("dist_addr", vgic.dist_addr), ("cpu_addr", vgic.cpu_addr))
    return tuple((name, gpa) for name, gpa in frames if gpa != UNSET)


def save(vgic: VgicV2) -> VgicState:
    """The state of a GICv2 whose vCPUs are stopped."""
    distributor = tuple((name, vgic.get_dist_reg(name)) for name in _shared(vgic.nr_irqs))
    cpus = tuple(
        VgicCpuState(
            cpu,
            tuple((name, vgic.get_dist_reg(name, vcpu_id=cpu)) for name in _PRIVATE),
            tuple((name, vgic.get_cpu_reg(name, vcpu_id=cpu)) for name in _INTERFACE),
            None,
        )
        for cpu in _cpus(vgic)
    )
    return VgicState(SCHEMA, 2, vgic.nr_irqs, _setup(vgic), distributor, cpus, (), ())


def restore(vgic: VgicV2, state: VgicState, lines_up: Iterable[tuple[int, int | None]]) -> None:
    """Makes a GICv2 what it was. Nothing is written before all was looked at."""
    lines = _lines(lines_up)
    _check(vgic, state)
    for name, value in writable(state.distributor[:3]):
        vgic.set_dist_reg(name, value)
    _restore_bank(vgic, state.distributor[3:], lines, None)
    for cpu in state.cpus:
        _restore_bank(vgic, cpu.private, lines, cpu.cpu)
        for name, value in cpu.interface:
            vgic.set_cpu_reg(name, value, vcpu_id=cpu.cpu)


def _lines(lines_up: Iterable[tuple[int, int | None]]) -> set[tuple[int, int | None]]:
    lines = set()
    try:
        given = [(intid, vcpu_id) for intid, vcpu_id in lines_up]
    except (TypeError, ValueError):
        raise TypeError("lines_up must be pairs of intid and vcpu_id (None for an SPI)") from None
    for intid, vcpu_id in given:
        line_of(intid, vcpu_id)  # or what is wrong with them
        lines.add((check_int("intid", intid, 0, 1019), vcpu_id))
    return lines


def _check(vgic: VgicV2, state: VgicState) -> None:
    check_state(state, 2, vgic.nr_irqs, _setup(vgic))
    if len(state.setup) < 2:
        raise differs("the number of addresses that are set", len(state.setup), 2)
    check_registers("the distributor", V2_DIST, state.distributor, _shared(state.nr_irqs))
    here = tuple((name, vgic.get_dist_reg(name)) for name in _IDENTITY)
    cpus = _cpus(vgic)
    if [cpu.cpu for cpu in state.cpus] != cpus:
        raise differs("the list of vCPUs", [cpu.cpu for cpu in state.cpus], cpus)
    check_identity(state.distributor, here)
    for cpu in state.cpus:
        check_registers(f"the bank of vCPU {cpu.cpu}", V2_DIST, cpu.private, _PRIVATE)
        check_registers(f"the interface of vCPU {cpu.cpu}", V2_CPU, cpu.interface, _INTERFACE)


def _restore_bank(
    vgic: VgicV2, registers: Registers, lines: set[tuple[int, int | None]], cpu: int | None
) -> None:
    bank = cpu or 0
    for name in _clearing(registers):
        vgic.set_dist_reg(name, _ALL, vcpu_id=bank)
    for name, value in registers:
        if name.startswith("GICD_ISPENDR"):
            value &= ~_driven(name, lines, cpu)
        if name == "GICD_ISPENDR0":
            value &= ~_SGIS  # GICD_SPENDSGIR<n> says from whom, too
        vgic.set_dist_reg(name, value, vcpu_id=bank)


def _clearing(registers: Registers) -> Iterator[str]:
    yield from quieting(registers)
    yield from (name.replace("ISP", "ICP") for name, _ in registers if "ISPENDR" in name)


def _driven(name: str, lines: set[tuple[int, int | None]], cpu: int | None) -> int:
    """The bits of a GICD_ISPENDR<n> whose lines will make them pending."""
    return sum(1 << intid % 32 for _, intid, _ in fields(V2_DIST, name, 0) if (intid, cpu) in lines)
