# SPDX-License-Identifier: Apache-2.0
"""Dirty logs: what the guest writes to is in them once, and nothing else is."""

from __future__ import annotations

import errno
import mmap
import signal
import time
from collections.abc import Callable

import pytest

from pykvm import VM, Cap, GuestMemory, KvmBusyError, KvmError, MmioWrite, bitmap_runs
from tests.kvm.footprint import unchanged
from tests.kvm.machines import DOORBELL_GPA, KNOCK, VALUE, WRITE, Machine
from tests.kvm.threads import workers

Make = Callable[..., Machine]

WROTE = MmioWrite(DOORBELL_GPA, bytes([VALUE]))
FIRST_PAGE = [(0, 1)]
#: No multiple of 64.
PAGES = 130
#: Where nothing else is.
FREE_GPA = 1 << 24


@pytest.fixture
def large(vm: VM) -> GuestMemory:
    """Memory of 130 pages; the VM ends before it."""
    return GuestMemory(PAGES * mmap.PAGESIZE)


@pytest.mark.covers("vm KVM_GET_DIRTY_LOG")
def test_a_log_has_what_was_written_since_the_last(machine: Make) -> None:
    made = machine(WRITE, log_dirty=True)
    assert bitmap_runs(made.slot.get_dirty_log()) == []
    for _ in range(3):
        assert made.vcpu.run() == WROTE
        assert bitmap_runs(made.slot.get_dirty_log()) == FIRST_PAGE
        assert bitmap_runs(made.slot.get_dirty_log()) == []


@pytest.mark.covers("vm KVM_GET_DIRTY_LOG")
def test_a_log_as_runs_and_as_pages(machine: Make) -> None:
    made = machine(WRITE, log_dirty=True)
    assert made.slot.dirty_runs() == []
    assert made.vcpu.run() == WROTE
    with pytest.raises(ValueError, match="merge_gap"):
        made.slot.dirty_runs(-1)  # and the log is still there
    first = made.slot.dirty_runs()
    assert made.vcpu.run() == WROTE
    second = made.slot.dirty_pages()
    assert made.slot.dirty_runs() == []
    assert (first, second.tolist()) == (FIRST_PAGE, [0]), "both stand alone"


def test_a_log_has_whole_words(vm: VM, large: GuestMemory) -> None:
    slot = vm.add_memory(FREE_GPA, large, log_dirty=True)
    assert slot.pages == PAGES
    assert slot.get_dirty_log() == bytes(3 * 8)


@pytest.mark.covers("vm KVM_SET_USER_MEMORY_REGION")
def test_a_live_slot_starts_and_ends_its_log(machine: Make) -> None:
    made = machine(WRITE)
    assert not made.slot.log_dirty
    for _ in range(2):
        with pytest.raises(KvmError, match=r"KVM_GET_DIRTY_LOG.*log_dirty=True") as caught:
            made.slot.get_dirty_log()
        assert caught.value.errno == errno.ENOENT
        made.slot.log_dirty = True
        assert made.slot.log_dirty
        made.vcpu.run()
        assert bitmap_runs(made.slot.get_dirty_log()) == FIRST_PAGE
        made.slot.log_dirty = False
        assert not made.slot.log_dirty


def test_a_log_while_the_guest_runs(machine: Make) -> None:
    """A write is in this log or in the next, never in none."""
    made = machine(WRITE, log_dirty=True)
    logged: list[tuple[int, int]] = []

    def write() -> None:
        for _ in range(10):
            logged.clear()
            made.vcpu.run()
            while not logged:
                time.sleep(0)

    with workers(write) as (writer,):
        while writer.alive:
            logged += bitmap_runs(made.slot.get_dirty_log())


@pytest.mark.covers("enable MANUAL_DIRTY_LOG_PROTECT2", "vm KVM_CLEAR_DIRTY_LOG")
def test_with_manual_protection_only_a_clear_clears(machine: Make) -> None:
    made = machine(WRITE, log_dirty=True)
    made.vm.enable_manual_dirty_log_protect2()
    made.vcpu.run()
    first = made.slot.get_dirty_log()
    assert bitmap_runs(first) == FIRST_PAGE
    assert made.slot.get_dirty_log() == first
    made.slot.clear_dirty_log(0, made.slot.pages, bytes(8))
    assert made.slot.get_dirty_log() == first, "no bit was set: nothing to clear"
    made.slot.clear_dirty_log(0, made.slot.pages, first)
    assert bitmap_runs(made.slot.get_dirty_log()) == []
    made.vcpu.run()
    assert bitmap_runs(made.slot.get_dirty_log()) == FIRST_PAGE, "the page was protected again"
    made.vm.enable_manual_dirty_log_protect2(on=False)
    made.slot.get_dirty_log()
    assert bitmap_runs(made.slot.get_dirty_log()) == []


@pytest.mark.covers("vm KVM_CLEAR_DIRTY_LOG")
def test_a_range_is_cleared(vm: VM, large: GuestMemory) -> None:
    vm.enable_manual_dirty_log_protect2(initially_set=True)
    slot = vm.add_memory(FREE_GPA, large, log_dirty=True)
    assert bitmap_runs(slot.get_dirty_log()) == [(0, PAGES)]
    slot.clear_dirty_log(64, 64, b"\xf0" + bytes(7))
    assert bitmap_runs(slot.get_dirty_log()) == [(0, 68), (72, PAGES - 72)]
    assert slot.dirty_runs(merge_gap=4) == [(0, PAGES)]
    slot.clear_dirty_log(128, 2, b"\xff" * 8)  # up to the end, which is no multiple of 64
    assert bitmap_runs(slot.get_dirty_log()) == [(0, 68), (72, 128 - 72)]


@pytest.mark.parametrize(
    ("first", "pages", "size", "words"),
    [
        (1, 64, 8, "first_page is 1; KVM clears 64 pages at a time: it must be a multiple"),
        (0, 65, 16, "num_pages is 65; .* or all 130 to the slot's end"),
        (64, 2, 8, "num_pages is 2; .* or all 66 to the slot's end"),
        (0, 131, 24, "num_pages is 0x83; it must be 0x1 to 0x82"),
        (128, 64, 8, "num_pages is 0x40; it must be 0x1 to 0x2"),
        (192, 1, 8, "first_page is 0xc0; it must be 0x0 to 0x81"),
        (0, 128, 8, "bitmap has 8 bytes; for 128 pages it must have 16, 8 for each 64"),
        (128, 2, 1, "bitmap has 1 bytes; for 2 pages it must have 8"),
    ],
)
def test_the_rules_of_ranges_are_told(
    vm: VM, large: GuestMemory, first: int, pages: int, size: int, words: str
) -> None:
    vm.enable_manual_dirty_log_protect2()
    slot = vm.add_memory(FREE_GPA, large, log_dirty=True)
    with pytest.raises(ValueError, match=words):
        slot.clear_dirty_log(first, pages, bytes(size))


@pytest.mark.covers("cap MANUAL_DIRTY_LOG_PROTECT2")
def test_the_capability_has_a_bit_for_each_way(vm: VM) -> None:
    answer = vm.check_extension(Cap.MANUAL_DIRTY_LOG_PROTECT2)
    for bits in range(5):
        known = not bits & ~answer and bits != 2  # "initially set" alone means nothing
        if known:
            vm.enable_cap(Cap.MANUAL_DIRTY_LOG_PROTECT2, [bits])
        else:
            with pytest.raises(KvmError) as caught:
                vm.enable_cap(Cap.MANUAL_DIRTY_LOG_PROTECT2, [bits])
            assert caught.value.errno == errno.EINVAL


def test_a_slot_moves_with_what_it_has(machine: Make) -> None:
    made = machine(KNOCK)
    with GuestMemory(1 << 16) as memory:
        slot = made.vm.add_memory(0, memory)
        slot.move(FREE_GPA)
        assert slot.gpa == FREE_GPA
        assert made.vcpu.run() == WROTE, "nothing is at the doorbell any more"
        slot.move(0)
        with memory.view(DOORBELL_GPA, 1) as view, workers(made.vcpu.run) as (guest,):
            while not view[0]:
                assert guest.alive
            made.vcpu.kick()
        with pytest.raises(KvmError, match="overlaps") as caught:
            slot.move(made.slot.gpa)
        assert caught.value.errno == errno.EEXIST
        assert slot.gpa == 0
        slot.close()


def test_a_slot_that_is_in_use_cannot_become_another(vm: VM, large: GuestMemory) -> None:
    """The kernel fills as many bytes as the slot of that number has by then."""
    slot = vm.add_memory(FREE_GPA, large, log_dirty=True)
    refusals: list[Exception] = []

    def handler(*_: object) -> None:
        try:
            slot.close()
        except KvmBusyError as refusal:
            refusals.append(refusal)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with slot._open("test"):  # as every call does
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "interrupted another call on this slot" in str(*refusals)
    assert slot.get_dirty_log() == bytes(24)
    slot.close()
    assert slot.closed


def test_a_close_that_was_interrupted_can_be_repeated(vm: VM, large: GuestMemory) -> None:
    slot = vm.add_memory(FREE_GPA, large)
    slot._delete(vm._core)  # the kernel has let go, and a handler raised
    slot.close()
    with unchanged():
        vm.add_memory(FREE_GPA, large).close()
