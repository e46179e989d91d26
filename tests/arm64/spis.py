# SPDX-License-Identifier: Apache-2.0
"""Machines whose guest takes SPIs and counts them, and waiting for what it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guests import arguments
from tally import wait_for
from tinyvm import TinyVm

from tests.arm64.conftest import PATIENCE

INTID = 40
Tiny = Callable[..., TinyVm]


def started(tiny: Tiny, first_intid: int = INTID, count: int = 1, **options: Any) -> TinyVm:
    """A machine whose guest waits for ``count`` SPIs; ``options`` as of guests.arguments.spi."""
    machine = tiny("spi")
    registers = arguments.spi(
        gic_version=machine.gic_version, first_intid=first_intid, count=count, **options
    )
    machine.set_registers(registers)
    return machine


def ready(machine: TinyVm) -> None:
    """Waits until the guest takes interrupts."""
    assert wait_for(lambda: machine.report.ready, 1, PATIENCE), machine.report.failure


def arrives(machine: TinyVm, taken: int, intid: int = INTID) -> bool:
    """Whether the guest has ended its ``taken``-th interrupt, and no more were begun."""
    report = machine.report
    came = wait_for(lambda: report.ended(intid), taken, PATIENCE)
    return came and report.taken(intid) == report.ended(intid) == taken and not report.spurious


def settle(machine: TinyVm, intid: int) -> None:
    """Waits until the guest has taken an interrupt of ``intid``: what came before it is through."""
    with machine.vm.irqfd(intid=intid) as marker:
        before = machine.report.ended(intid)
        marker.inject()
        assert wait_for(lambda: machine.report.ended(intid), before + 1, PATIENCE)
