# SPDX-License-Identifier: Apache-2.0
"""Ways around kernels that lose ends of interrupts (7.2 and 7.3, with a GICv3).

They miss the end of an interrupt that the guest takes and ends without leaving in between. A driver
whose registers are mapped does just that: its interrupt would come again until the guest happens to
leave. The selftest tells such a kernel, and there are two ways around it: a GICv2, which keeps
account of ends differently, or registers that are trapped, so that every driver leaves the guest
before it ends its interrupt.
"""

from __future__ import annotations

from typing import NamedTuple

from minivmm import gic
from minivmm.gic import Gic
from minivmm.vfio import Wanted
from pykvm import VM, Kvm


class Way(NamedTuple):
    """What to do instead, and the words for it; unchanged and "" where all is well."""

    controller: Gic
    wanted: list[Wanted]
    note: str = ""


def around(kvm: Kvm, vm: VM, controller: Gic, gic_wanted: str | None, wanted: list[Wanted]) -> Way:
    """The way to take; what the user has asked for stays as it is."""
    open_to_us = [each for each in wanted if each.registers == "auto"]
    if controller.version != 3 or not open_to_us or not loses_ends(kvm):
        return Way(controller, wanted)
    if gic_wanted is None and gic.has(vm, "2") and len(controller.redistributors) == 1:
        cpus = controller.redistributors[0][1]
        if cpus <= gic.MOST_CPUS[2]:
            note = "this kernel loses ends of interrupts with a GICv3: the guest has a GICv2"
            return Way(gic.choose(vm, "2", cpus), wanted, note)
    trapped = [
        each._replace(registers="trap") if each.registers == "auto" else each for each in wanted
    ]
    note = (
        "this kernel loses ends of interrupts with a GICv3: registers of "
        f"{', '.join(each.address for each in open_to_us)} are trapped, which is slower"
    )
    return Way(controller, trapped, note)


def loses_ends(kvm: Kvm) -> bool:
    """Whether this kernel does so, tried with a tiny guest."""
    from pykvm.probe.selftest import run_selftest  # not loaded for guests without such devices

    return any(check.failure == "lost-end-of-interrupt" for check in run_selftest(kvm))
