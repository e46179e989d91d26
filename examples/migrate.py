#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A running guest moves from process to process, and loses no interrupt on the way.

Each process makes the machine that the one before left in a folder, lets it take what was under
way, sends one interrupt of each kind, and saves the machine while the guest is in the handler of
the first of them: that one is active then, the others are pending, and the lines are up. The guest
counts; its own timer goes on beside.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from guests import arguments, layout
from snapshot import Snapshot
from tally import Tally, finish, parser
from tinyvm import TinyVm

from pykvm import DeviceType, Kvm, MmioWrite

EDGE, LEVEL, PPI, EVENT = 40, 41, 20, 0
LINES = ((LEVEL, None), (PPI, 0))
TURNS = 1000  # of the guest's main loop, until an interrupt that did not come counts as lost


def run(tiny: TinyVm) -> int:
    """Runs the guest until it is in a handler (the INTID), or has nothing to do (0)."""
    match tiny.vcpus[0].run():
        case MmioWrite(gpa=layout.DOORBELL_GPA):
            return 0
        case MmioWrite(gpa=layout.DEVICE_ACK_GPA, data=data):
            intid = int.from_bytes(data, "little")
            if (intid, None) in LINES or (intid, 0) in LINES:  # the device is served
                tiny.vm.irq_line(intid, 0, vcpu_id=0 if intid == PPI else None)
            return intid
        case other:
            raise SystemExit(f"the guest stopped: {tiny.report.failure or other}")


def send(tiny: TinyVm) -> int:
    """One interrupt of each kind. Returns how many these are."""
    tiny.vm.irq_line(EDGE, 1)
    for intid, vcpu_id in LINES:
        tiny.vm.irq_line(intid, 1, vcpu_id=vcpu_id)
    if tiny.its is None:
        return 3
    tiny.vm.signal_msi(tiny.its.doorbell, EVENT, devid=layout.MIXED_DEVICE_ID)
    return 4


def counts(tiny: TinyVm, ended: bool = False) -> int:
    """How many interrupts of ours were taken, or ended."""
    report = tiny.report
    of, lpi_of = (report.ended, report.lpi_ended) if ended else (report.taken, report.lpi_taken)
    return sum(of(intid) for intid in (EDGE, LEVEL, PPI)) + lpi_of(EVENT)


def one_life(folder: Path, gic: int, *, is_last: bool) -> None:
    """What one process does."""
    notes = folder / "notes.json"
    with TinyVm("mixed", gic=gic, its=gic == 3) as tiny:
        if notes.exists():
            sent, lines = json.loads(notes.read_text(encoding="ascii"))
            Snapshot.read(folder).restore(tiny, [(intid, vcpu_id) for intid, vcpu_id in lines])
        else:
            sent, lines = 0, []
            tiny.set_registers(
                arguments.mixed(
                    gic_version=gic, first_intid=EDGE, edges=1, levels=1, ppi=PPI, timer_hz=100,
                    events=1 if gic == 3 else 0,
                )
            )  # fmt: skip
        turns = 0
        while (turns < TURNS and counts(tiny, ended=True) < sent) or not turns:
            turns += run(tiny) == 0
        if not is_last:
            sent += send(tiny)
            while not (first := run(tiny)):
                pass
            lines = [line for line in LINES if line[0] != first]
        Snapshot.of(tiny).write(folder)
        notes.write_text(json.dumps((sent, lines)), encoding="ascii")
        if is_last:
            tally = Tally("migrate", tiny.gic_name, sent=sent, taken=counts(tiny))
            tally.ended, tally.lost = counts(tiny, ended=True), max(sent - counts(tiny), 0)
            tally.spurious = tiny.report.spurious + tiny.report.results[0]
            (folder / "tally.json").write_text(json.dumps(vars(tally)), encoding="ascii")


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--life", type=Path, help=argparse.SUPPRESS)
    words.add_argument("--last", action="store_true", help=argparse.SUPPRESS)
    options = words.parse_args()
    if options.life:
        one_life(options.life, options.gic, is_last=options.last)
        return 0
    with Kvm() as kvm, kvm.create_vm() as vm:
        gic = options.gic or (3 if vm.has_device(DeviceType.ARM_VGIC_V3) else 2)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.count + 1):
            life = [sys.executable, __file__, "--life", folder, "--gic", str(gic)]
            life += ["--last"] * (number == options.count)
            if status := subprocess.run(life, check=False).returncode:
                return status
        told = json.loads((Path(folder) / "tally.json").read_text(encoding="ascii"))
    return Tally(**told).tell(options.json)


if __name__ == "__main__":
    finish(main)
