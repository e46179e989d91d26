# SPDX-License-Identifier: Apache-2.0
"""GuestMemfd: memory that one VM shows, and what the host can do with it."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable

import pytest

from pykvm import VM, Cap, ClosedError, GuestMemfdFlag, Kvm, KvmBusyError, KvmError, MmioWrite
from tests.kvm.footprint import unchanged
from tests.kvm.machines import DOORBELL_GPA, KNOCK, VALUE, Machine
from tests.kvm.threads import workers

Make = Callable[..., Machine]

pytestmark = pytest.mark.needs("guest_memfd")

SIZE = 1 << 16


@pytest.mark.covers("vm KVM_CREATE_GUEST_MEMFD", "vm KVM_SET_USER_MEMORY_REGION2")
def test_host_and_guest_share_it(machine: Make) -> None:
    made = machine(KNOCK)
    with made.vm.create_guest_memfd(2 * SIZE) as memfd:
        assert os.fstat(memfd.fileno()).st_size == 2 * SIZE
        slot = made.vm.add_guest_memfd(0, memfd, offset=SIZE)
        assert (slot.gpa, slot.size, slot.offset, slot.guest_memfd) == (0, SIZE, SIZE, memfd)
        assert slot.memory is not None
        with memfd.map(offset=SIZE) as memory:
            with memory.view(DOORBELL_GPA, 1) as view, workers(made.vcpu.run) as (guest,):
                while view[0] != VALUE:
                    assert guest.alive
                made.vcpu.kick()
            assert slot.memory.read(DOORBELL_GPA, 1) == bytes([VALUE])
            slot.close()
            assert slot.memory.closed
            assert memory.read(DOORBELL_GPA, 1) == bytes([VALUE])
        assert made.vcpu.run() == MmioWrite(DOORBELL_GPA, bytes([VALUE]))


def test_a_hole_reads_as_zeros(vm: VM) -> None:
    with vm.create_guest_memfd(SIZE) as memfd, memfd.map() as memory:
        memfd.allocate()
        memory.write(0, b"x" * SIZE)
        memfd.punch_hole(offset=SIZE // 2)
        assert memory.read(0, SIZE) == b"x" * (SIZE // 2) + bytes(SIZE // 2)
        memfd.punch_hole()
        assert memory.read(0, SIZE) == bytes(SIZE)


@pytest.mark.parametrize("flags", [0, GuestMemfdFlag.MMAP, GuestMemfdFlag.INIT_SHARED])
def test_what_the_host_may_not_touch_is_not_mapped(vm: VM, flags: int) -> None:
    with vm.create_guest_memfd(SIZE, flags=flags) as memfd:
        assert not memfd.shared
        with pytest.raises(ValueError, match=f"flags {flags:#x}.*with MMAP and INIT_SHARED"):
            memfd.map()


def test_a_slot_whose_memory_is_the_guest_s_alone(vm: VM) -> None:
    with vm.create_guest_memfd(SIZE, flags=GuestMemfdFlag.MMAP) as memfd, unchanged():
        slot = vm.add_guest_memfd(0, memfd)
        assert slot.memory is None
        slot.close()


@pytest.mark.covers("cap GUEST_MEMFD", "cap GUEST_MEMFD_FLAGS")
def test_the_capabilities_tell_which_flags_there_are(vm: VM) -> None:
    assert vm.check_extension(Cap.GUEST_MEMFD) == 1
    answer = vm.check_extension(Cap.GUEST_MEMFD_FLAGS)
    for flag in (1 << n for n in range(8)):
        if answer & flag:
            vm.create_guest_memfd(SIZE, flags=flag).close()
        else:
            with pytest.raises(KvmError, match=r"GUEST_MEMFD_FLAGS") as caught:
                vm.create_guest_memfd(SIZE, flags=flag)
            assert caught.value.errno == errno.EINVAL


def test_it_is_close_on_exec(vm: VM) -> None:
    with vm.create_guest_memfd(SIZE) as memfd:
        assert not os.get_inheritable(memfd.fileno())


def test_it_cannot_be_closed_under_a_slot(vm: VM) -> None:
    with unchanged():
        memfd = vm.create_guest_memfd(SIZE)
        slot = vm.add_guest_memfd(0, memfd)
        with pytest.raises(KvmBusyError, match="A memory slot shows it to the guest"):
            memfd.close()
        slot.close()
        memfd.close()
        memfd.close()
    assert memfd.closed
    for call in (memfd.map, memfd.punch_hole, memfd.allocate, memfd.fileno):
        with pytest.raises(ClosedError, match="GuestMemfd is closed"):
            call()
    with pytest.raises(ClosedError, match="GuestMemfd is closed"):
        vm.add_guest_memfd(0, memfd)


def test_it_ends_with_its_vm(kvm: Kvm) -> None:
    with unchanged():
        vm = kvm.create_vm()
        memfd = vm.create_guest_memfd(SIZE)
        slot = vm.add_guest_memfd(0, memfd)
        vm.close()
        assert slot.closed
        assert memfd.closed
        del slot


def test_a_dropped_one_goes_with_its_slot(kvm: Kvm) -> None:
    with unchanged(), kvm.create_vm() as vm:
        slot = vm.add_guest_memfd(0, vm.create_guest_memfd(SIZE))
        assert slot.guest_memfd is not None
        assert not slot.guest_memfd.closed
        slot.close()
        del slot


def test_it_is_of_one_vm(kvm: Kvm, vm: VM) -> None:
    with kvm.create_vm() as other, other.create_guest_memfd(SIZE) as memfd, unchanged():
        with pytest.raises(KvmError, match="must be this VM's") as caught:
            vm.add_guest_memfd(0, memfd)
        assert caught.value.errno == errno.EINVAL


def test_a_page_of_it_is_in_one_slot(vm: VM) -> None:
    with vm.create_guest_memfd(SIZE) as memfd:
        half = SIZE // 2
        slots = [vm.add_guest_memfd(0, memfd, size=half)]
        with pytest.raises(KvmError, match=r"other slot (on|shows) this part") as caught:
            vm.add_guest_memfd(1 << 20, memfd)
        assert caught.value.errno in (errno.EINVAL, errno.EEXIST)  # 6.18, 7.3
        if mmap.PAGESIZE < SIZE:
            slots.append(vm.add_guest_memfd(1 << 20, memfd, offset=half))
        for slot in slots:
            with pytest.raises(KvmError) as caught:
                slot.move(1 << 21)
            assert caught.value.errno == errno.EINVAL
            with pytest.raises(KvmError) as caught:
                slot.log_dirty = True
            assert caught.value.errno == errno.EINVAL
            slot.log_dirty = False
            slot.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"offset": 1}, "offset 0x1 is no multiple"),
        ({"size": SIZE - 1}, "size 0xffff is no multiple"),
        ({"size": SIZE + mmap.PAGESIZE}, "size is"),
        ({"offset": SIZE}, "offset is 0x10000"),
    ],
)
def test_ranges_are_checked(vm: VM, arguments: dict[str, int], words: str) -> None:
    with vm.create_guest_memfd(SIZE) as memfd:
        for call in (memfd.map, memfd.allocate, memfd.punch_hole):
            with pytest.raises(ValueError, match=words):
                call(**arguments)
        with pytest.raises(ValueError, match=words):
            vm.add_guest_memfd(0, memfd, **arguments)


def test_sizes_are_whole_pages(vm: VM) -> None:
    for size in (0, 1, SIZE + 1):
        with pytest.raises(ValueError, match="size"):
            vm.create_guest_memfd(size)
