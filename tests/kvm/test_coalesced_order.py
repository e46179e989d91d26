# SPDX-License-Identifier: Apache-2.0
"""Ranges served in C whose stores wait in KVM's ring: no access overtakes a store before it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykvm import Interrupted, MmioRead, MmioWrite, Vcpu
from pykvm._bus import Bus, CoalescedQueue, Intake
from tests.kvm.machines import ARM64, DOORBELL_GPA, SECOND_GPA, VALUE, Guest, Machine
from tests.kvm.signalled import everywhere, hit

pytestmark = pytest.mark.binding

Make = Callable[..., Machine]

#: Stores one byte at the doorbell, loads it, stores what it found at the second address; spins.
REREAD = Guest(
    "c6 06 00 10 2a a0 00 10 a2 00 11 eb fe", (0x39000002, 0x39400004, 0x39000024, 0x14000000)
)
#: Stores 200, 199, … 1 at the doorbell, then loads from the second address. (On arm64 from x2 on.)
COUNT = Guest(
    "b0 c8 a2 00 10 fe c8 75 f9 a0 00 11 eb fe", (0x39000002, 0x71000442, 0x54FFFFC1, 0x39400024)
)
STORES = 200
REREAD_IT = MmioWrite(SECOND_GPA, bytes([VALUE]))


@pytest.fixture
def counting(machine: Make) -> Machine:
    made = machine(COUNT)
    if ARM64:
        made.vcpu.set_one_reg("x2", STORES)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)
    return made


def rereading(machine: Make) -> Vcpu:
    made = machine(REREAD)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)
    made.vm.mmio_latch(DOORBELL_GPA, 1)
    return made.vcpu


def test_a_load_finds_what_was_stored_before(machine: Make) -> None:
    assert rereading(machine).run() == REREAD_IT


def test_a_latch_ends_with_the_last_store(counting: Machine) -> None:
    """KVM's ring is full before: the later ones come directly."""
    latch = counting.vm.mmio_latch(DOORBELL_GPA, 1)
    assert counting.vcpu.run() == MmioRead(SECOND_GPA, 1)
    assert latch.value == 1


@pytest.mark.parametrize("capacity", [1, 100, STORES])
def test_a_ring_has_them_in_order(counting: Machine, capacity: int) -> None:
    stores: list[int] = []
    counting.vm.mmio_ring(
        DOORBELL_GPA, 1, lambda offset, size, value: stores.append(value), capacity=capacity
    )
    assert counting.vcpu.run() == MmioRead(SECOND_GPA, 1)
    assert stores == list(range(STORES, 0, -1))


def test_a_ring_that_is_taken_has_them_too(counting: Machine) -> None:
    ring = counting.vm.mmio_ring(DOORBELL_GPA, 1)
    assert counting.vcpu.run() == MmioRead(SECOND_GPA, 1)
    assert [value for _, _, value in ring.take()] == list(range(STORES, 0, -1))


def test_an_access_that_waits_is_served_whatever_is_interrupted(machine: Make) -> None:
    vcpu: Vcpu
    exits: list[object] = []

    def run() -> None:
        nonlocal vcpu
        vcpu = rereading(machine)
        exits.append(vcpu.run())

    def check() -> None:
        if not exits:
            exits.append(vcpu.run())
        assert exits.pop() == REREAD_IT

    functions = Bus.drain, CoalescedQueue.deliver, Intake.move
    assert everywhere(run, hit, *functions, check=check) > 5


@pytest.mark.parametrize(
    ("answer", "found"),
    [(lambda vcpu: vcpu.mmio_reply(7), 7), (Vcpu.complete_mmio, 0)],
    ids=["mmio_reply", "complete_mmio"],
)
def test_a_load_that_waits_can_be_answered_by_hand(
    machine: Make, answer: Callable[[Vcpu], object], found: int
) -> None:
    vcpu = rereading(machine)

    def check() -> None:
        answer(vcpu)
        assert vcpu.run() == MmioWrite(SECOND_GPA, bytes([found]))

    assert everywhere(vcpu.run, hit, CoalescedQueue.deliver, check=check, most=1) == 1


def test_other_ranges_do_not_wait(machine: Make) -> None:
    """They have their own order, and no reason to leave."""
    made = machine(REREAD)
    stores: list[int] = []
    made.vm.register_coalesced_mmio(SECOND_GPA, 1)
    made.vm.mmio_handler(SECOND_GPA, 1, write=lambda *store: stores.append(store[2]))
    made.vm.mmio_latch(DOORBELL_GPA, 1)
    made.vcpu.kick()
    assert made.vcpu.run() == Interrupted()
    assert stores == []
