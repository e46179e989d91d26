# SPDX-License-Identifier: Apache-2.0
"""A whole machine as a value: memory, vCPUs and GIC; and a folder that holds one.

The machine must be stopped, and what it is restored into must have been made in the same way.
On a Cortex-A57 with Linux 7.3 a restored guest does not go on: ARCHITECTURE.md says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tinyvm import TinyVm

from pykvm import Vcpu, VcpuEvents, VgicState, VgicV2, VgicV3

#: INTIDs of the timers, whose lines KVM drives.
TIMERS = (27, 30)


class VcpuState(NamedTuple):
    """A vCPU: its registers by id, whether it runs, and what waits for it."""

    registers: dict[int, int]
    mp_state: int
    events: VcpuEvents

    @classmethod
    def of(cls, vcpu: Vcpu) -> VcpuState:
        vcpu.complete_mmio()  # a store that left the guest would end as the next run begins
        registers = {reg: vcpu.get_one_reg(reg) for reg in vcpu.get_reg_list()}
        return cls(registers, vcpu.get_mp_state(), vcpu.get_vcpu_events())

    def restore(self, vcpu: Vcpu) -> None:
        for reg, value in self.registers.items():
            if vcpu.get_one_reg(reg) != value:  # most say what the vCPU is, and cannot be set
                vcpu.set_one_reg(reg, value)
        vcpu.set_mp_state(self.mp_state)
        vcpu.set_vcpu_events(self.events)


class Snapshot(NamedTuple):
    """A machine: the bytes of its RAM, its vCPUs and its GIC."""

    memory: bytes
    vcpus: list[VcpuState]
    gic: VgicState

    @classmethod
    def of(cls, tiny: TinyVm) -> Snapshot:
        vcpus = [VcpuState.of(vcpu) for vcpu in tiny.vcpus]
        # The GIC before memory: it writes the tables of LPIs there.
        gic = save_gic(tiny)
        return cls(tiny.memory.read(0, tiny.memory.size), vcpus, gic)

    def restore(self, tiny: TinyVm, lines_up: Iterable[tuple[int, int | None]] = ()) -> None:
        """Makes a new machine this one. ``lines_up``: what its devices hold up: (intid, vcpu_id).

        Its virtual counter goes on from where it stood; so time that passed in between is unseen.
        """
        tiny.memory.write(0, self.memory)
        for vcpu, state in zip(tiny.vcpus, self.vcpus, strict=True):
            state.restore(vcpu)
        match tiny.vgic:
            case VgicV2() as vgic:  # it does not tell lines: the devices raise them again
                lines = list(lines_up)
                timers = [line for line in self.gic.lines_up() if line[0] in TIMERS]
                vgic.restore(self.gic, lines_up=[*lines, *timers])
                for intid, vcpu_id in lines:
                    tiny.vm.irq_line(intid, 1, vcpu_id=vcpu_id)
            case VgicV3() as vgic:
                vgic.restore(self.gic, its=[tiny.its] if tiny.its else [])

    def write(self, folder: Path) -> None:
        (folder / "memory").write_bytes(self.memory)
        vcpus = [vcpu._asdict() for vcpu in self.vcpus]
        (folder / "vcpus.json").write_text(json.dumps(vcpus), encoding="ascii")
        (folder / "gic.json").write_text(self.gic.to_json(), encoding="ascii")

    @classmethod
    def read(cls, folder: Path) -> Snapshot:
        vcpus = json.loads((folder / "vcpus.json").read_text(encoding="ascii"))
        return cls(
            (folder / "memory").read_bytes(),
            [
                VcpuState(
                    {int(reg): value for reg, value in vcpu["registers"].items()},
                    vcpu["mp_state"],
                    VcpuEvents(*vcpu["events"]),
                )
                for vcpu in vcpus
            ],
            VgicState.from_json((folder / "gic.json").read_text(encoding="ascii")),
        )


def save_gic(tiny: TinyVm) -> VgicState:
    """The GIC alone, with its ITS."""
    match tiny.vgic:
        case VgicV3() as vgic:
            return vgic.save(its=[tiny.its] if tiny.its else [])
        case VgicV2() as vgic:
            return vgic.save()
    raise ValueError("this machine has no GIC")
