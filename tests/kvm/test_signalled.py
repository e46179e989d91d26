# SPDX-License-Identifier: Apache-2.0
"""Signals' handlers at each place where Python may call them: nothing is lost, nothing is torn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykvm import (
    VM,
    CoalescedMmio,
    EventFd,
    Interrupted,
    Irqfd,
    LevelLine,
    MmioRange,
    MmioRing,
    MmioWrite,
)
from pykvm._bus import CoalescedQueue, Intake, RingQueue
from pykvm._vmcore import Children
from pykvm.coalesced import VmCoalescedMmio
from pykvm.vmmmio import VmMmio
from tests.kvm.footprint import descriptors
from tests.kvm.machines import DOORBELL_GPA, KNOCK, VALUE, Machine
from tests.kvm.signalled import everywhere, hit

pytestmark = pytest.mark.binding

Make = Callable[..., Machine]
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))


@pytest.mark.parametrize("kernels", [False, True], ids=["own ring", "KVM's ring"])
def test_a_ring_that_is_emptied_while_it_is_emptied(machine: Make, kernels: bool) -> None:
    """Who goes on then finds nothing left."""
    made = machine(KNOCK)
    stores = 0

    def write(*_: int) -> None:
        nonlocal stores
        stores += 1
        made.vcpu.kick()

    deliver: Callable[[], object]
    if kernels:
        made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)
        made.vm.mmio_handler(DOORBELL_GPA, 1, write=write)
        deliver = made.vcpu.drain_coalesced_mmio
    else:
        deliver = made.vm.mmio_ring(DOORBELL_GPA, 1, write, capacity=3).deliver

    def run() -> None:
        before = stores
        assert made.vcpu.run() == Interrupted()
        assert stores - before > 3

    functions = RingQueue.deliver, RingQueue._fetch, CoalescedQueue.deliver, Intake.move
    assert everywhere(run, deliver, *functions, most=30) > 10


RANGES: dict[str, Callable[[VM], MmioRange]] = {
    "handler": lambda vm: vm.mmio_handler(DOORBELL_GPA, 1, write=print),
    "latch": lambda vm: vm.mmio_latch(DOORBELL_GPA, 1),
    "ring": lambda vm: vm.mmio_ring(DOORBELL_GPA, 1, print),
}


@pytest.mark.parametrize("made", RANGES.values(), ids=RANGES)
def test_a_range_whose_making_is_interrupted_is_held_or_gone(
    vm: VM, made: Callable[[VM], MmioRange]
) -> None:
    def check() -> None:
        for child in vm._children.newest_first():
            child.close()
        assert vm._core.bus.queues == []
        assert not any(vm._core.bus.stores)
        vm.mmio_ignore(DOORBELL_GPA, 1).close()

    functions = VmMmio._add, VmMmio.mmio_ring, MmioRange.__init__, MmioRing.__init__, Children.hold
    assert everywhere(lambda: made(vm), hit, *functions, check=check) > 10


def test_so_is_a_range_of_stores_that_wait(machine: Make) -> None:
    made = machine(KNOCK)

    def make() -> None:
        made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)

    def check() -> None:
        for child in made.vm._children.newest_first():
            if child is not made.vcpu and child is not made.slot:
                child.close()
        assert made.vcpu.run() == KNOCKED
        assert made.vcpu.drain_coalesced_mmio() == []

    functions = VmCoalescedMmio.register_coalesced_mmio, CoalescedMmio.__init__, Children.hold
    assert everywhere(make, hit, *functions, check=check) > 10


def test_a_level_line_is_raised_after_an_end_whoever_is_interrupted(wired: VM) -> None:
    """At the latest by whoever is woken next."""
    irqfd = wired.irqfd(gsi=8, resample=True)
    line = LevelLine(irqfd, lambda: True)
    told = irqfd.resample
    assert told

    def end() -> None:
        line.update()
        told.signal()
        line.ended()

    def check() -> None:
        if told.poll(0):
            line.ended()
        assert line.up
        assert not told.poll(0)

    line.update()
    functions = LevelLine.ended, LevelLine.update, EventFd.read, Irqfd.inject
    assert everywhere(end, hit, *functions, check=check) > 5


@pytest.mark.parametrize("kind", ["made", "adopted", "announcing"])
def test_no_eventfd_outlives_who_was_interrupted_making_it(vm: VM, kind: str) -> None:
    theirs = EventFd()
    make: dict[str, Callable[[], object]] = {
        "made": EventFd,
        "adopted": lambda: EventFd.adopt(theirs),
        "announcing": lambda: vm.mmio_ring(DOORBELL_GPA, 1, eventfd=theirs),
    }
    before = descriptors()

    def check() -> None:
        for child in vm._children.newest_first():
            child.close()
        assert descriptors() == before

    functions = EventFd.__init__, EventFd._own, EventFd._prepare, EventFd.adopt, RingQueue.__init__
    assert everywhere(make[kind], hit, *functions, VmMmio.mmio_ring, check=check) > 5
