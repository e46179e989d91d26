# SPDX-License-Identifier: Apache-2.0
"""One life of a stock guest with a device of the host, and everything that was counted in it."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from minivmm import layout

from tests.arm64.vmm.linux import PROGRAM, Linux, linux
from tests.devices.counts import Counts, OutsideKvmRun
from tests.devices.kinds import READ_SIZE, Kind, script
from tests.lab.scratch import contents
from tests.vfio import bound, trust_guests

ASSIGN = PROGRAM.with_name("assign_device.py")


@dataclass
class Life:
    """``counts`` as of tests.devices.counts, at the guest's last mark; ``during``: of the reads."""

    kind: str
    found: bool = False
    checksum: bool = False
    written: bool = False
    guest_interrupts: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    during: Mapping[str, int] = field(default_factory=dict)
    milliseconds: Sequence[float] = ()
    #: Of the time that the reads took, what the vCPUs spent outside of KVM_RUN.
    outside: float = 0.0
    said: str = ""


def live(
    kind: Kind,
    *words: str,
    how: str = "",
    cpus: int = 1,
    without: str = "",
    repeats: int = 1,
    look: Callable[[Linux], object] = lambda _: None,
) -> Life:
    """Gives a guest the device, with ``how`` behind its address; ``look`` sees it when it is ready.

    ``without`` is what assign_device.py is to leave out. ``words`` are more options; the guest has
    ``cpus``.
    """
    trust_guests()
    life = Life(kind.name)
    address = bound(kind.name) if kind.name != "virtio" else ""
    device = ("--device", address + how) if address else ()
    words = (*words, "--without", without) if without else words
    program = ASSIGN if without else PROGRAM
    told = script(kind, repeats=repeats, patience=10 if without else 30)
    registers = range(layout.ASSIGNED, layout.ASSIGNED_END)
    with (
        Counts(address, layout.ASSIGNED_INTID, registers) as counts,
        linux(told, *device, "--cpus", str(cpus), *words, program=program) as guest,
    ):
        life.found = "mark ready" in guest.next("mark (ready|nothing)")
        look(guest)
        guest.type("\n")
        if kind.disk and life.found and repeats:
            said = guest.next("mark before")
            expected = hashlib.md5(contents(0, READ_SIZE), usedforsecurity=False).hexdigest()
            life.checksum = f"md5 {expected}" in said
            life.written = "written and read" in said
            before, start, trace = counts.now(), time.monotonic(), OutsideKvmRun(guest.pid)
            guest.type("\n")
            guest.next("mark after")
            life.outside = trace.seconds() / (time.monotonic() - start)
            after = counts.now()
            life.during = {name: after[name] - before[name] for name in after}
            guest.type("\n")
            found = re.findall(r"\d+", guest.next("centiseconds .*"))
            life.milliseconds = [10 * int(number) / kind.reads for number in found]
        said = guest.next("mark done")
        life.counts = counts.now()
        for line in said.splitlines():
            if line.startswith("irq ") and len(line.split()) > 2:
                life.guest_interrupts = sum(map(int, line.split()[2 : 2 + cpus]))
        if not without:  # else its driver still waits for what never comes: the program is killed
            guest.type("\n")
            guest.end()
        life.said = guest.said
    return life
