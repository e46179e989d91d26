# SPDX-License-Identifier: Apache-2.0
"""MMIO ranges under a guest: who serves what, in which order, and what is left for run()."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from pykvm import (
    VM,
    ClosedError,
    Interrupted,
    Kvm,
    KvmExistsError,
    MmioRead,
    MmioWrite,
)
from tests.kvm.footprint import unchanged
from tests.kvm.machines import DOORBELL_GPA, ECHO, KNOCK, SECOND_GPA, STORE, VALUE, Machine

Make = Callable[..., Machine]
LOADS = MmioRead(DOORBELL_GPA, 4)
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))


def stored(value: int) -> MmioWrite:
    return MmioWrite(SECOND_GPA, value.to_bytes(4, "little"))


def test_handlers_take_offset_size_and_value(machine: Make) -> None:
    made = machine(ECHO)
    calls: list[tuple[int, ...]] = []

    def read(offset: int, size: int) -> int:
        calls.append((offset, size))
        return 0x12345678

    def write(offset: int, size: int, value: int) -> None:
        calls.append((offset, size, value))
        made.vcpu.kick()

    made.vm.mmio_handler(DOORBELL_GPA - 16, 0x111, read=read, write=write)
    assert made.vcpu.run() == stored(0x12345678), "partly outside, so it is nobody's"
    made.vm.mmio_handler(SECOND_GPA + 1, 99, write=write)
    assert made.vcpu.run() == stored(0x12345678)
    assert calls == [(16, 4)] * 2
    made = machine(ECHO)
    calls.clear()
    made.vm.mmio_handler(DOORBELL_GPA - 16, 0x200, read=read, write=write)
    assert made.vcpu.run() == Interrupted()
    assert calls == [(16, 4), (16 + SECOND_GPA - DOORBELL_GPA, 4, 0x12345678)]


def test_handlers_by_width(machine: Make) -> None:
    made = machine(ECHO)
    with made.vm.mmio_handler(DOORBELL_GPA, 8, read={2: lambda *_: 2, 8: lambda *_: 8}):
        assert made.vcpu.run() == LOADS
    with made.vm.mmio_handler(DOORBELL_GPA, 8, read={4: lambda *_: 4}, write=print):
        assert made.vcpu.run() == stored(0)
        assert made.vcpu.run() == stored(4)
    assert made.vcpu.run() == LOADS


def test_a_range_of_one_direction(machine: Make) -> None:
    made = machine(ECHO)
    made.vm.mmio_handler(DOORBELL_GPA, 0x200, write=lambda *_: made.vcpu.kick())
    for reply in 5, 6:
        assert made.vcpu.run() == LOADS
        made.vcpu.mmio_reply(reply)
        assert made.vcpu.run() == Interrupted()


def test_constant(machine: Make) -> None:
    made = machine(ECHO)
    with made.vm.mmio_constant(DOORBELL_GPA, 4, 0x74726976):
        assert made.vcpu.run() == stored(0x74726976)
    with made.vm.mmio_constant(DOORBELL_GPA - 3, 8, b"abcdefgh"):
        assert made.vcpu.run() == MmioWrite(SECOND_GPA, b"defg")
    assert made.vcpu.run() == LOADS
    made = machine(STORE)
    made.vm.mmio_constant(DOORBELL_GPA, 1, 0)
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE])), "a store to it is ignored"


def test_ignore(machine: Make) -> None:
    made = machine(ECHO)
    with made.vm.mmio_ignore(DOORBELL_GPA, 4):
        assert [made.vcpu.run() for _ in range(3)] == [stored(0)] * 3
    made = machine(STORE)
    made.vm.mmio_ignore(0, DOORBELL_GPA + 1)
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE]))


def test_a_latch_is_seen_from_both_sides(machine: Make) -> None:
    made = machine(ECHO)
    first = made.vm.mmio_latch(DOORBELL_GPA, 4, 7)
    with made.vm.mmio_ring(SECOND_GPA, 4, capacity=1):
        assert made.vcpu.run() == stored(7)
    first.value = 0xFFFFFFFF
    assert made.vcpu.run() == stored(0xFFFFFFFF)
    first.close()
    assert first.value == 0xFFFFFFFF
    second = made.vm.mmio_latch(SECOND_GPA, 8, 2**64 - 1)
    for reply in 8, 9:
        assert made.vcpu.run() == LOADS
        assert second.value == 2**64 - (1 if reply == 8 else 2**32 - 8)
        made.vcpu.mmio_reply(reply)


def test_counter(machine: Make) -> None:
    made = machine(ECHO)
    loads = made.vm.mmio_counter(DOORBELL_GPA, 4)
    ring = made.vm.mmio_ring(SECOND_GPA, 4, capacity=10)
    assert made.vcpu.run() == stored(0)
    assert (loads.loads, loads.stores, len(ring.take())) == (11, 0, 10)
    made = machine(KNOCK)
    stores = made.vm.mmio_counter(DOORBELL_GPA, 4)
    made.vcpu.kick()
    assert made.vcpu.run() == Interrupted()
    assert stores.loads == 0


def test_a_full_ring_ends_the_run_and_drops_nothing(machine: Make) -> None:
    made = machine(ECHO)
    numbers = iter(range(100))
    made.vm.mmio_handler(DOORBELL_GPA, 4, read=lambda *_: next(numbers))
    ring = made.vm.mmio_ring(SECOND_GPA, 4, capacity=3)
    assert made.vcpu.run() == stored(3)
    assert made.vcpu.run() == stored(4), "as long as nobody takes"
    assert ring.take() == [(0, 4, 0), (0, 4, 1), (0, 4, 2)]
    assert made.vcpu.run() == stored(8)
    ring.close()
    assert ring.take() == [(0, 4, 5), (0, 4, 6), (0, 4, 7)]
    assert ring.take() == []
    assert made.vcpu.run() == stored(9)


def test_what_waits_in_a_ring_comes_before_what_follows(machine: Make) -> None:
    """Loads and stores alternate; whatever ends up with Python, the order is the guest's."""
    for capacity in 1, 2, 5:
        made = machine(ECHO)
        seen: list[int] = []

        def read(offset: int, size: int, seen: list[int] = seen) -> int:
            seen.append(-len(seen))
            return len(seen)

        def write(offset: int, size: int, value: int, seen: list[int] = seen) -> None:
            seen.append(value)

        reader = made.vm.mmio_handler(DOORBELL_GPA, 4, read=read)
        made.vm.mmio_ring(SECOND_GPA, 4, write, capacity=capacity)
        while len(seen) < 20:
            made.vcpu.kick()
            assert made.vcpu.run() == Interrupted()
            reader.close()
            assert made.vcpu.run() == LOADS
            made.vcpu.mmio_reply(len(seen) + 1)
            seen.append(-len(seen))
            reader = made.vm.mmio_handler(DOORBELL_GPA, 4, read=read)
        for n in range(0, len(seen) - 1, 2):
            assert seen[n : n + 2] == [-n, n + 1]


def test_a_ring_is_drained_before_an_interruption(machine: Make) -> None:
    made = machine(KNOCK)
    seen: list[tuple[int, ...]] = []
    ring = made.vm.mmio_ring(DOORBELL_GPA, 1, lambda *store: seen.append(store), capacity=1000)
    counter = made.vm.mmio_counter(SECOND_GPA, 1)
    for _ in range(3):
        made.vcpu.kick()
        assert made.vcpu.run() == Interrupted()
        assert ring.take() == []
    assert counter.stores == 0


def test_what_a_handler_of_a_ring_was_not_given_stays(machine: Make) -> None:
    made = machine(KNOCK)
    seen = 0

    def write(*store: int) -> None:
        nonlocal seen
        seen += 1
        if seen % 2:
            raise ZeroDivisionError

    made.vm.mmio_ring(DOORBELL_GPA, 1, write, capacity=3)
    for expected in 1, 3, 5, 7:
        with pytest.raises(ZeroDivisionError):
            made.vcpu.run()
        assert seen == expected


def test_coalesced_stores_come_before_the_exit_that_follows(machine: Make) -> None:
    """Those that have a range go there; the rest can be taken, in order, by hand."""
    made = machine(STORE)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 4)
    seen: list[tuple[int, ...]] = []
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *store: seen.append(store))
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE]))
    assert seen == [(0, 1, VALUE)]
    assert made.vcpu.drain_coalesced_mmio() == []
    made = machine(STORE)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 4)
    made.vm.mmio_ignore(SECOND_GPA + 8, 8)
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE]))
    assert made.vcpu.drain_coalesced_mmio() == [KNOCKED]
    assert made.vcpu.drain_coalesced_mmio() == []


def test_a_coalesced_store_whose_handler_raises_is_done(machine: Make) -> None:
    made = machine(STORE)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 4)
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        made.vcpu.run()
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE])), "the exit was not lost"


def test_ranges_stay_though_nobody_keeps_them(machine: Make) -> None:
    made = machine(ECHO)
    made.vm.mmio_latch(DOORBELL_GPA, 4, 3)
    gc.collect()
    assert made.vcpu.run() == stored(3)


def test_ranges_do_not_overlap(machine: Make) -> None:
    made = machine(ECHO)
    made.vm.mmio_latch(DOORBELL_GPA, 4, 3)
    for gpa, size in (DOORBELL_GPA, 4), (DOORBELL_GPA + 3, 1), (0, 2**64):
        with unchanged(), pytest.raises(KvmExistsError, match="overlaps another MMIO range"):
            made.vm.mmio_handler(gpa, size, write=print)
        with pytest.raises(KvmExistsError, match="overlaps another MMIO range"):
            made.vm.mmio_ring(gpa, size, print)
    assert made.vcpu.run() == stored(3)


def test_a_range_may_be_where_memory_is(machine: Make) -> None:
    """The guest's memory comes first; nothing of it leaves the guest."""
    made = machine(STORE)
    counter = made.vm.mmio_counter(2**32 - 0x10000, 0x10000)
    assert isinstance(made.vcpu.run(), MmioWrite)
    assert counter.stores == counter.loads == 0


def test_a_closed_vm_takes_no_ranges(kvm: Kvm) -> None:
    with kvm.create_vm() as vm:
        made = [vm.mmio_latch(0, 4, 9), vm.mmio_ring(8, 8, print), vm.mmio_ignore(16, 99)]
    assert [one.closed for one in made] == [True] * 3
    with pytest.raises(ClosedError, match="VM is closed"):
        vm.mmio_ignore(0, 1)
    assert made[0].value == 9  # type: ignore[attr-defined]


def test_a_closed_range_leaves_nothing_in_the_vm(vm: VM) -> None:
    bus = vm._core.bus
    for _ in range(10):
        with vm.mmio_ring(0, 8, print), vm.mmio_handler(8, 8, read=max, write=print):
            pass
    assert bus.queues == []
    assert not any(bus.loads)
    assert not any(bus.stores)
    assert vm._children.newest_first() == []
