# SPDX-License-Identifier: Apache-2.0
"""Vcpu.complete_mmio(): the guest's state is that after the access, before the guest goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykvm import ClosedError, Interrupted, MmioRead, MmioWrite
from tests.kvm.machines import DOORBELL_GPA, ECHO, KNOCK, SECOND_GPA, VALUE, Machine

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


def test_on_a_closed_vcpu(machine: Make) -> None:
    vcpu = machine(KNOCK).vcpu
    vcpu.close()
    with pytest.raises(ClosedError, match="complete_mmio: this Vcpu 0 is closed"):
        vcpu.complete_mmio()
