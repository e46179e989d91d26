# SPDX-License-Identifier: Apache-2.0
"""Coalesced MMIO: stores that wait in the VM's ring, in order, until somebody drains it."""

from __future__ import annotations

import errno
import mmap
import struct
from collections.abc import Callable

import pytest

from pykvm import VM, Cap, ClosedError, Interrupted, KvmError, MmioRead, MmioWrite
from tests.kvm.machines import DOORBELL_GPA, ECHO, KNOCK, SECOND_GPA, STORE, VALUE, Machine
from tests.kvm.threads import workers

Make = Callable[..., Machine]

#: One place of the ring stays free.
ROOM = (mmap.PAGESIZE - 8) // 24 - 1
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))
_REGISTER, _UNREGISTER = 0x4010AE67, 0x4010AE68


def is_room(stores: int) -> bool:
    """Whether a ring that was empty may be full with so many stores.

    Older kernels (6.1) compute the room modulo 2**32, and take a ring for full too early.
    """
    return 0 < stores <= ROOM


@pytest.mark.covers("vm KVM_REGISTER_COALESCED_MMIO")
def test_a_store_waits_until_it_is_drained(machine: Make) -> None:
    made = machine(STORE)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 4)
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE]))
    assert made.vcpu.drain_coalesced_mmio() == [KNOCKED]
    assert made.vcpu.drain_coalesced_mmio() == []


@pytest.mark.covers("vm KVM_UNREGISTER_COALESCED_MMIO")
def test_a_closed_range_exits_again(machine: Make) -> None:
    made = machine(KNOCK)
    zone = made.vm.register_coalesced_mmio(DOORBELL_GPA, 4)
    assert made.vcpu.run() == KNOCKED, "the ring is full"
    zone.close()
    zone.close()
    assert zone.closed
    stores = made.vcpu.drain_coalesced_mmio()
    assert stores == [KNOCKED] * len(stores)
    assert is_room(len(stores))
    assert made.vcpu.run() == KNOCKED
    assert made.vcpu.drain_coalesced_mmio() == []


def test_the_ring_goes_round(machine: Make) -> None:
    made = machine(KNOCK)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)
    for _ in range(3):
        made.vcpu.run()
        assert is_room(len(made.vcpu.drain_coalesced_mmio()))


def test_loads_do_not_wait(machine: Make) -> None:
    made = machine(ECHO)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 0x200)
    assert made.vcpu.run() == MmioRead(DOORBELL_GPA, 4)
    made.vcpu.mmio_reply(7)
    assert made.vcpu.run() == MmioRead(DOORBELL_GPA, 4)
    assert made.vcpu.drain_coalesced_mmio() == [MmioWrite(SECOND_GPA, b"\7\0\0\0")]


def test_drained_while_the_guest_runs(machine: Make) -> None:
    """Two threads drain; each store comes to one of them."""
    made = machine(KNOCK)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)
    ends: list[object] = []
    taken: list[MmioWrite] = []

    def drain() -> None:
        while len(taken) < 3 * ROOM:
            taken.extend(made.vcpu.drain_coalesced_mmio())
        made.vcpu.kick()

    def run() -> None:
        while not ends or ends[-1] != Interrupted():
            ends.append(made.vcpu.run())

    with workers(drain, drain, run):
        pass
    assert set(taken) == {KNOCKED}


@pytest.mark.covers("cap COALESCED_MMIO")
def test_the_capability_is_the_page_of_the_ring(machine: Make) -> None:
    made = machine(STORE)
    page = made.vm.check_extension(Cap.COALESCED_MMIO)
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 4)
    made.vcpu.run()
    with made.vcpu.kvm_run as view:
        entry = struct.unpack_from("=IIQII8s", view, page * mmap.PAGESIZE)
    assert entry == (0, 1, DOORBELL_GPA, 1, 0, bytes([VALUE]).ljust(8, b"\0"))


@pytest.mark.covers("cap COALESCED_PIO")
def test_ranges_of_ports_are_another_space(machine: Make) -> None:
    made = machine(KNOCK)
    answer = made.vm.check_extension(Cap.COALESCED_PIO)
    made.vm.ioctl(_REGISTER, bytearray(struct.pack("=QII", DOORBELL_GPA, 4, answer)))
    assert made.vcpu.run() == KNOCKED, "which is no port"
    made.vm.ioctl(_UNREGISTER, bytearray(struct.pack("=QII", DOORBELL_GPA, 4, answer)))
    with pytest.raises(KvmError) as caught:
        made.vm.ioctl(_REGISTER, bytearray(struct.pack("=QII", DOORBELL_GPA, 4, answer + 1)))
    assert caught.value.errno == errno.EINVAL


def test_ranges_do_not_overlap(vm: VM) -> None:
    """The kernel would take both back with the smaller one."""
    first = vm.register_coalesced_mmio(0x1000, 0x100)
    vm.register_coalesced_mmio(0x1100, 0x100)
    for gpa, size in ((0x1080, 4), (0xF00, 0x101), (0xF00, 0x1000)):
        with pytest.raises(ValueError, match="overlaps <CoalescedMmio gpa 0x1"):
            vm.register_coalesced_mmio(gpa, size)
    first.close()
    vm.register_coalesced_mmio(0x1080, 4)
    with pytest.raises(ValueError, match="wraps around"):
        vm.register_coalesced_mmio(2**64 - 4, 5)


def test_whatever_the_page_holds_nothing_beyond_it_is_touched(machine: Make) -> None:
    made = machine(STORE)
    page = made.vm.check_extension(Cap.COALESCED_MMIO)
    with made.vcpu.kvm_run as view:
        view[page * mmap.PAGESIZE :] = b"\xff" * (len(view) - page * mmap.PAGESIZE)
        for store in made.vcpu.drain_coalesced_mmio():
            assert store == MmioWrite(2**64 - 1, b"\xff" * 8)
        struct.pack_into("=II", view, page * mmap.PAGESIZE, 5, 4)
    assert made.vcpu.drain_coalesced_mmio() == [MmioWrite(2**64 - 1, b"\xff" * 8)] * ROOM


def test_closed_after_its_vm(machine: Make) -> None:
    made = machine(STORE)
    zone = made.vm.register_coalesced_mmio(DOORBELL_GPA, 4)
    made.vm.close()
    assert zone.closed
    zone.close()
    with pytest.raises(ClosedError, match="is closed"):
        made.vcpu.drain_coalesced_mmio()
