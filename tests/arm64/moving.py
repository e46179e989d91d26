# SPDX-License-Identifier: Apache-2.0
"""Machines that are saved in the midst of interrupts, and restored; and what their devices sent.

As a program it is one life of such a machine, in a process of its own:
``python3 -m tests.arm64.moving FOLDER GENERATION GIC ITS`` takes it from the folder, and leaves it
there again.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from guests import arguments, layout
from snapshot import TIMERS, Snapshot, save_gic
from tinyvm import TinyVm, vgic_frames

from pykvm import Interrupted, MmioWrite, MpState, Vgic, VgicV3

CPUS, NR_IRQS = 2, 96
EDGES, LEVELS, EVENTS = 4, 4, 4
FIRST_INTIDS = (40, 72)
PPI, TIMER = 20, 27
TIMER_HZ = 200
#: Turns of a guest's main loop after which what has not come counts as lost.
TURNS = 3000
LPI_PRIORITY = 0x80


class Source(NamedTuple):
    """One interrupt: of which CPU, and its INTID (of an LPI: 8192 + event)."""

    cpu: int
    intid: int

    @property
    def line(self) -> tuple[int, int | None]:
        return self.intid, self.cpu if self.intid < 32 else None

    @property
    def is_level(self) -> bool:
        first = FIRST_INTIDS[self.cpu] + EDGES
        return self.intid == PPI or first <= self.intid < first + LEVELS


def sources(its: bool) -> list[Source]:
    made = [
        Source(cpu, first + n)
        for cpu, first in enumerate(FIRST_INTIDS)
        for n in range(EDGES + LEVELS)
    ]
    made += [Source(cpu, PPI) for cpu in range(CPUS)]
    return made + [Source(0, layout.LPI_FIRST_INTID + n) for n in range(EVENTS * its)]


class Machine(TinyVm):
    """Two CPUs that run from the start, and few interrupts, so that its state is small."""

    def __init__(self, gic: int, its: bool) -> None:
        super().__init__("mixed", gic=gic, cpus=CPUS, its=its)
        for vcpu in self.vcpus[1:]:
            vcpu.set_mp_state(MpState.RUNNABLE)

    def _make_gic(self, version: int | None) -> Vgic | None:
        vgic = self.vm.create_vgic(version)
        vgic_frames(vgic)
        vgic.nr_irqs = NR_IRQS
        vgic.init()
        return vgic


class Moving:
    """A machine, and what was sent to it in all its lives."""

    def __init__(self, gic: int, its: bool) -> None:
        self.machine = Machine(gic, its)
        self.sources = sources(its)
        self.sent = dict.fromkeys(self.sources, 0)
        self.up: list[Source] = []
        self.masked: list[Source] = []
        self.priorities: dict[Source, int] = {}

    def __enter__(self) -> Moving:
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.close()

    # A machine's beginning --------------------------------------------------------------------

    def boot(self) -> None:
        for cpu, first in enumerate(FIRST_INTIDS):
            registers = arguments.mixed(
                gic_version=self.machine.gic_version, first_intid=first, edges=EDGES,
                levels=LEVELS, ppi=PPI, timer_hz=TIMER_HZ,
                events=EVENTS if self.machine.its and not cpu else 0,
            )  # fmt: skip
            self.machine.set_registers(registers, cpu)

    def resume(self, snapshot: Snapshot, notes: str) -> None:
        """Becomes what was saved: nothing of the GIC may differ."""
        sent, up, masked, priorities = (
            {Source(cpu, intid): value for cpu, intid, value in those}
            for those in json.loads(notes)
        )
        self.sent, self.priorities = sent, priorities
        self.up, self.masked = list(up), list(masked)
        snapshot.restore(self.machine, [source.line for source in self.up])
        differences = snapshot.gic.diff(save_gic(self.machine))
        if self.machine.gic_version == 2:  # the timers raise their lines when they run
            timers = tuple(f"intid {intid}: pending True -> False" for intid in TIMERS)
            differences = [line for line in differences if not line.endswith(timers)]
        assert not differences, differences

    def notes(self) -> str:
        ones = (dict.fromkeys(these, 1) for these in (self.up, self.masked))
        kept = (self.sent, *ones, self.priorities)
        return json.dumps([[(*source, value) for source, value in those.items()] for those in kept])

    # What its devices do ----------------------------------------------------------------------

    def taken(self, source: Source, *, ended: bool = False) -> int:
        report = self.machine.reports[source.cpu]
        if source.intid >= layout.LPI_FIRST_INTID:
            of = report.lpi_ended if ended else report.lpi_taken
            return of(source.intid - layout.LPI_FIRST_INTID)
        return (report.ended if ended else report.taken)(source.intid)

    def send(self, source: Source) -> None:
        """One more interrupt, unless the last is still to be taken: they would be one."""
        if self.sent[source] != self.taken(source):
            return
        self.sent[source] += 1
        if source.intid >= layout.LPI_FIRST_INTID:
            assert self.machine.its is not None
            event = source.intid - layout.LPI_FIRST_INTID
            doorbell = self.machine.its.doorbell
            assert self.machine.vm.signal_msi(doorbell, event, devid=layout.MIXED_DEVICE_ID)
            return
        intid, vcpu_id = source.line
        self.machine.vm.irq_line(intid, 1, vcpu_id=vcpu_id)
        if source.is_level:
            self.up.append(source)

    def run(self, cpu: int) -> Source | None:
        """Runs a CPU until it is in a handler, whose device is served, or has nothing to do."""
        match self.machine.vcpus[cpu].run():
            case MmioWrite(gpa=layout.DOORBELL_GPA) | Interrupted():
                return None
            case MmioWrite(gpa=layout.DEVICE_ACK_GPA, data=data):
                source = Source(cpu, int.from_bytes(data, "little"))
                if source in self.up:
                    self.up.remove(source)
                    intid, vcpu_id = source.line
                    self.machine.vm.irq_line(intid, 0, vcpu_id=vcpu_id)
                return source
            case other:
                raise AssertionError(self.machine.reports[cpu].failure or other)

    def run_to_handler(self, cpu: int) -> Source:
        for _ in range(TURNS):
            if source := self.run(cpu):
                return source
        raise AssertionError(f"CPU {cpu} takes no interrupt")

    # Its GIC ----------------------------------------------------------------------------------

    def enable(self, these: Iterable[Source], *, on: bool) -> None:
        vgic = self.machine.vgic
        assert vgic is not None
        for source in these:
            register = f"GICD_I{'S' if on else 'C'}ENABLER{source.intid // 32}"
            vgic.set_dist_reg(register, 1 << source.intid % 32)

    def set_priority(self, source: Source, priority: int) -> None:
        vgic = self.machine.vgic
        number, shift = divmod(source.intid, 4)
        name = f"IPRIORITYR{number}"
        if source.intid < 32 and isinstance(vgic, VgicV3):
            before = vgic.get_redist_reg(f"GICR_{name}", vcpu_id=source.cpu)
            value = before & ~(0xFF << 8 * shift) | priority << 8 * shift
            vgic.set_redist_reg(f"GICR_{name}", value, vcpu_id=source.cpu)
        elif vgic is not None:
            before = vgic.get_dist_reg(f"GICD_{name}", vcpu_id=source.cpu)
            value = before & ~(0xFF << 8 * shift) | priority << 8 * shift
            vgic.set_dist_reg(f"GICD_{name}", value, vcpu_id=source.cpu)
        self.priorities[source] = priority

    # One generation ---------------------------------------------------------------------------

    def settle(self) -> None:
        """Lets everything come, in the order of priorities, and counts."""
        self.enable(self.masked, on=True)
        self.masked = []
        for cpu in range(CPUS):
            self.machine.reports[cpu].let_sleep(False)
            mine = [source for source in self.sources if source.cpu == cpu]
            waiting = {source for source in mine if self.sent[source] != self.taken(source)}
            timers = self.machine.reports[cpu].taken(TIMER)
            order = []
            for _ in range(TURNS):
                if (source := self.run(cpu)) and source in waiting:
                    order.append(self.priorities.get(source, LPI_PRIORITY))
                is_through = all(self.taken(s, ended=True) == self.sent[s] for s in mine)
                has_ticked = self.machine.reports[cpu].ended(TIMER) > timers
                if source is None and is_through and has_ticked:
                    break
            assert order == sorted(order), f"CPU {cpu} took them in this order of priorities"
            report = self.machine.reports[cpu]
            assert report.ended(TIMER) > timers, "its timer has stopped"
            assert (report.spurious, report.results[0]) == (0, 0)
        counted = {s: (self.taken(s), self.taken(s, ended=True)) for s in self.sources}
        assert counted == {source: (sent, sent) for source, sent in self.sent.items()}

    def disturb(self, generation: int) -> None:
        """Leaves the machine with interrupts in every state that there is, by generation."""
        chance = random.Random(generation)  # noqa: S311 - repeatable is what is wanted
        for source in self.sources:
            if source.intid < layout.LPI_FIRST_INTID:
                self.set_priority(source, chance.randrange(2, 15) << 4)
        self.masked = [
            Source(cpu, first + chance.randrange(EDGES)) for cpu, first in enumerate(FIRST_INTIDS)
        ]
        self.enable(self.masked, on=False)
        for source in self.masked:
            self.send(source)
        for cpu in range(CPUS):
            (self._pending, self._active, self._nested, self._again, self._asleep)[generation % 5](
                cpu, chance
            )

    def _send_some(self, cpu: int, chance: random.Random) -> None:
        mine = [source for source in self.sources if source.cpu == cpu]
        for source in chance.sample(mine, len(mine) * 2 // 3):
            self.send(source)

    def _pending(self, cpu: int, chance: random.Random) -> None:
        """All are pending: the guest has interrupts masked."""
        self._send_some(cpu, chance)

    def _active(self, cpu: int, chance: random.Random) -> None:
        """One is active, the others are pending."""
        self._send_some(cpu, chance)
        self.run_to_handler(cpu)

    def _nested(self, cpu: int, chance: random.Random) -> None:
        """Two are active, one of them in the midst of the other."""
        low = Source(cpu, PPI)
        self.set_priority(low, 0xE8)
        self.send(low)
        while self.run_to_handler(cpu) != low:
            pass
        self._send_some(cpu, chance)
        self.run_to_handler(cpu)

    def _again(self, cpu: int, chance: random.Random) -> None:
        """One is active and pending."""
        edge = next(
            s for s in self.sources if s.cpu == cpu and s not in self.masked and not s.is_level
        )
        self.send(edge)
        while self.run_to_handler(cpu) != edge:
            pass
        self.send(edge)
        self._send_some(cpu, chance)

    def _asleep(self, cpu: int, chance: random.Random) -> None:
        """The guest sleeps, and what would wake it is pending."""
        self.machine.reports[cpu].let_sleep()
        kick = threading.Timer(0.02, self.machine.vcpus[cpu].kick)
        kick.start()
        self.run(cpu)
        self.run(cpu)
        kick.join()
        self._send_some(cpu, chance)


def one_life(folder: Path, generation: int, gic: int, its: bool) -> None:
    """A machine comes from the folder, takes what was in flight, and goes there with more."""
    with Moving(gic, its) as moving:
        if generation:
            moving.resume(Snapshot.read(folder), (folder / "notes.json").read_text("ascii"))
        else:
            moving.boot()
        moving.settle()
        moving.disturb(generation)
        Snapshot.of(moving.machine).write(folder)
        (folder / "notes.json").write_text(moving.notes(), encoding="ascii")


if __name__ == "__main__":
    folder, generation, gic, its = sys.argv[1:]
    one_life(Path(folder), int(generation), int(gic), its == "its")
