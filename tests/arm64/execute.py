# SPDX-License-Identifier: Apache-2.0
"""Guests made of a few instructions: what each does, as the guest `execute` reports it."""

from __future__ import annotations

from typing import Any, NamedTuple

from guests import arguments, layout, words
from tinyvm import TinyVm

from pykvm import SystemEvent
from tests.arm64.spis import Tiny

#: Where the function lies.
CODE_GPA = layout.SCRATCH_GPA


class Outcome(NamedTuple):
    """What the function left: ``x`` are x0 to x7; ``esr``, ``far``, ``elr`` are of the last of
    ``exceptions`` synchronous exceptions; ``interrupts`` counts the asynchronous ones."""

    x: tuple[int, ...]
    exceptions: int
    esr: int
    far: int
    elr: int
    interrupts: int
    serror_esr: int


def loaded(tiny: Tiny, *instructions: int, x: tuple[int, ...] = (), **options: Any) -> TinyVm:
    """A machine that will run these instructions; ``x`` are the function's x0, x1, …"""
    machine = tiny("execute", **{"gic": 0, **options})
    put(machine, *instructions, x=x)
    return machine


def put(machine: TinyVm, *instructions: int, x: tuple[int, ...] = (), cpu: int = 0) -> None:
    """Gives a machine made for it the instructions and their arguments."""
    machine.memory.write(CODE_GPA - layout.RAM_GPA, words.code(*instructions))
    machine.set_registers(arguments.execute(*x), cpu)


def outcome(machine: TinyVm) -> Outcome:
    """What the guest has reported so far."""
    results = machine.report.results
    return Outcome(results[:8], *results[8:14])


def executed(tiny: Tiny, *instructions: int, x: tuple[int, ...] = (), **options: Any) -> Outcome:
    """Runs the instructions to their end, without leaving the guest in between."""
    return finished(loaded(tiny, *instructions, x=x, **options))


def finished(machine: TinyVm) -> Outcome:
    """Runs a machine that has its instructions to their end."""
    assert isinstance(machine.run(), SystemEvent)
    assert machine.report.done, machine.report.failure
    return outcome(machine)
