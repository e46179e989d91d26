# SPDX-License-Identifier: Apache-2.0
"""Vcpu.complete_mmio(): the guest's state is that after the access, before the guest goes on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from pykvm import ClosedError, Interrupted, KvmBusyError, MmioRead, MmioWrite, Vcpu
from pykvm._native import lib
from tests.kvm.machines import DOORBELL_GPA, ECHO, KNOCK, SECOND_GPA, STORE, VALUE, Machine

Make = Callable[..., Machine]
LOADS = MmioRead(DOORBELL_GPA, 4)
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))


def stored(value: int) -> MmioWrite:
    return MmioWrite(SECOND_GPA, value.to_bytes(4, "little"))


def test_a_load_arrives(machine: Make) -> None:
    vcpu = machine(ECHO).vcpu
    vcpu.complete_mmio()
    assert vcpu.run() == LOADS
    vcpu.mmio_reply(7)
    vcpu.complete_mmio()
    with pytest.raises(ValueError, match="no load to answer"):
        vcpu.mmio_reply(8)
    vcpu.complete_mmio()
    assert vcpu.run() == stored(7)
    vcpu.complete_mmio()
    assert vcpu.run() == LOADS
    vcpu.complete_mmio()
    assert vcpu.run() == stored(0)


def test_a_kick_stays_for_the_next_run(machine: Make) -> None:
    vcpu = machine(KNOCK).vcpu
    assert vcpu.run() == KNOCKED
    for kicks in 0, 1, 2:
        for _ in range(kicks):
            vcpu.kick()
        vcpu.complete_mmio()
        assert vcpu.run() == (Interrupted() if kicks else KNOCKED)


def test_after_a_handler_raised(machine: Make) -> None:
    made = machine(ECHO)
    made.vm.mmio_handler(DOORBELL_GPA, 4, read=lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        made.vcpu.run()
    made.vcpu.mmio_reply(6)
    made.vcpu.complete_mmio()
    assert made.vcpu.run() == stored(6)
    with pytest.raises(ZeroDivisionError):
        made.vcpu.run()
    made.vcpu.complete_mmio()
    assert made.vcpu.run() == stored(0), "unanswered, it read zero, and is over"


def test_what_run_owes_stays_for_the_next_one(machine: Make) -> None:
    """A store waited before the exit, and its handler raised: nobody has been told of the exit."""
    for kicks in 0, 1:
        made = machine(STORE)
        made.vm.mmio_ring(DOORBELL_GPA, 1, lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            made.vcpu.run()
        for _ in range(kicks):
            made.vcpu.kick()
        made.vcpu.complete_mmio()
        assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE]))
        if not kicks:
            made.vcpu.kick()
        assert made.vcpu.run() == Interrupted()


def test_a_load_that_run_owes_is_over(machine: Make) -> None:
    made = machine(ECHO)
    with made.vm.mmio_ring(SECOND_GPA, 4, lambda *_: 1 // 0):
        assert made.vcpu.run() == LOADS
        with pytest.raises(ZeroDivisionError):
            made.vcpu.run()
    made.vcpu.complete_mmio()
    assert made.vcpu.run() == stored(0), "nobody could answer it any more"


def test_while_run_makes_its_value_it_is_refused(machine: Make) -> None:
    """As a debugger or a signal's handler may call it, or another thread."""
    vcpu = machine(ECHO).vcpu
    refused = 0
    run_code = inspect.unwrap(Vcpu.run).__code__  # behind a guard, without a GIL

    def tracer(frame: FrameType, event: str, _: object) -> Any:
        nonlocal refused
        if event == "line" and frame.f_locals.get("answer") == lib.PYKVM_EXITS - lib.KVM_EXIT_MMIO:
            with pytest.raises(KvmBusyError):
                vcpu.complete_mmio()
            refused += 1
        return tracer if frame.f_code is run_code else None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        exit = vcpu.run()
    finally:
        sys.settrace(before)
    assert exit == LOADS
    assert refused
    vcpu.mmio_reply(7)
    assert vcpu.run() == stored(7)


def test_on_a_closed_vcpu(machine: Make) -> None:
    vcpu = machine(KNOCK).vcpu
    vcpu.close()
    with pytest.raises(ClosedError, match="complete_mmio: this Vcpu 0 is closed"):
        vcpu.complete_mmio()
