# SPDX-License-Identifier: Apache-2.0
"""The README's gallery of misuses: each is made, and what pykvm says of it is shown.

``python3 -m tests.lab run -- python3 -m tests.arm64.gallery`` prints the section anew.
"""

from __future__ import annotations

import re
import textwrap
from contextlib import ExitStack
from typing import Any

import pykvm
from pykvm import Kvm, VcpuFeature

WIDTH = 98
HEADING = "## What misuse is told"

#: Each with what leads up to it: the last statement is the mistake.
MISUSES = (
    "vm.irqfd(intid=40)  # before the GIC's init()",
    "vgic.init(); vm.create_vcpu(1)",
    "vm.irqfd(intid=27)",
    "vm.irqfd(gsi=300)",
    "uart = vm.irqfd(intid=40); vm.irqfd(intid=41, eventfd=uart.trigger)",
    "uart.trigger.close()",
    "bell = EventFd(); vm.irqfd(intid=42, eventfd=bell, resample=bell)",
    "vm.set_gsi_routing([SpiRoute(3, 40), SpiRoute(7, 40)]); vm.irqfd(gsi=3, resample=True)",
    "LevelLine(uart, lambda: True)",
    "vm.signal_msi(0x0809_0040, 0, devid=8)",
    "uart.close(); uart.inject()",
    "vm.irq_line(20, 1)",
)


def told(stage: dict[str, Any], statements: list[str]) -> str:
    """The exception that the last statement meets, in one line."""
    *before, last = statements
    for statement in before:
        exec(statement, stage)
    try:
        exec(last, stage)
    except (pykvm.KvmError, ValueError, TypeError) as refusal:
        # Which descriptor it is differs from run to run.
        message = re.sub(r"\bfd=\d+", "fd=7", str(refusal))
        return f"{type(refusal).__name__}: {message}"
    raise AssertionError(f"nothing was said of: {last}")


def gallery() -> str:
    """The section, as Markdown."""
    with ExitStack() as undo:
        kvm = undo.enter_context(Kvm())
        vm = undo.enter_context(kvm.create_vm())
        vcpu = undo.enter_context(vm.create_vcpu(0))
        vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
        vgic = undo.enter_context(vm.create_vgic())
        stage = {**vars(pykvm), "vm": vm, "vcpu": vcpu, "vgic": vgic}
        lines = []
        for words in MISUSES:
            statements = words.split("; ")
            lines += [f">>> {statement}" for statement in statements]
            lines += textwrap.wrap(told(stage, statements), WIDTH, subsequent_indent="    ")
    return "\n".join([HEADING, "", "```pycon", *lines, "```", ""])


if __name__ == "__main__":
    print(gallery(), end="")
