# SPDX-License-Identifier: Apache-2.0
"""The interrupt controller. KVM emulates it in the kernel; this says which, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from minivmm.endings import BadInput
from minivmm.layout import GICC, GICD, GICR, GICR_ROOM, GICR_SIZE, ITS, ITS_SIZE, KIB, MORE_GICR
from pykvm import VM, DeviceType, VgicV2, VgicV3

MOST_CPUS = {2: 8, 3: 512}
_DEVICES = {
    "2": [DeviceType.ARM_VGIC_V2],
    "3": [DeviceType.ARM_VGIC_V3],
    "its": [DeviceType.ARM_VGIC_V3, DeviceType.ARM_VGIC_ITS],
}


class Gic(NamedTuple):
    """What there is. ``redistributors``: regions of a GICv3, each as address and count."""

    version: int
    redistributors: list[tuple[int, int]]
    has_its: bool

    @property
    def frames(self) -> Iterator[tuple[str, int, int]]:
        """What it takes of the address space: name, address, size."""
        yield "the GIC", GICD, 64 * KIB
        if self.version == 2:
            yield "the GIC's CPU interface", GICC, 64 * KIB
        for number, (address, count) in enumerate(self.redistributors):
            yield f"redistributors {number}", address, count * GICR_SIZE
        if self.has_its:
            yield "the ITS", ITS, ITS_SIZE


def has(vm: VM, name: str) -> bool:
    """Whether this host can give a VM a GICv2 ("2"), a GICv3 ("3"), or one with an ITS ("its")."""
    return name in _DEVICES and all(map(vm.has_device, _DEVICES[name]))


def choose(vm: VM, wanted: str | None, cpus: int) -> Gic:
    """By what the host has: the newest, with an ITS; or what was ``wanted``: 2, 3, its."""
    choice = wanted or next((name for name in ("its", "3", "2") if has(vm, name)), "")
    if not has(vm, choice):
        there = " and ".join(f"GICv{name}" for name in "23" if has(vm, name)) or "none"
        asked = {"2": "a GICv2", "3": "a GICv3", "its": "a GICv3 with ITS", "": "any GIC"}[choice]
        raise BadInput(f"this host cannot give a VM {asked} (it has: {there})")
    version = 2 if choice == "2" else 3
    if cpus > MOST_CPUS[version]:
        raise BadInput(f"a GICv{version} serves {MOST_CPUS[version]} CPUs at most, not {cpus}")
    regions = []
    if version == 3:
        regions.append((GICR, min(cpus, GICR_ROOM)))
        if cpus > GICR_ROOM:
            regions.append((MORE_GICR, cpus - GICR_ROOM))
    return Gic(version, regions, choice == "its")


def make(vm: VM, gic: Gic) -> None:
    """Makes it. Every vCPU must be there already; interrupt lines can be bound afterwards."""
    vgic = vm.create_vgic(gic.version)
    if isinstance(vgic, VgicV3):
        vgic.dist_addr = GICD
        for index, (address, count) in enumerate(gic.redistributors):
            vgic.add_redist_region(address, count, index=index)
    elif isinstance(vgic, VgicV2):
        vgic.dist_addr, vgic.cpu_addr = GICD, GICC
    vgic.init()
    if gic.has_its:
        its = vm.create_its()
        its.addr = ITS
        its.init()
