# SPDX-License-Identifier: Apache-2.0
"""What KVM answers of memory, and that each answer holds."""

from __future__ import annotations

import errno
import mmap
import struct

import pytest
from guests import words

from pykvm import VM, Cap, GuestMemory, Kvm, KvmError, MmioRead, MmioWrite, bitmap_runs
from pykvm._native import ffi
from tests.arm64.conftest import refused
from tests.arm64.execute import outcome
from tests.arm64.pages import MARK, MARKED, PAGES_GPA, VALUE, marking, writing
from tests.arm64.spis import Tiny
from tests.perfbuffer import SIZE, perf_buffer

PAGE = mmap.PAGESIZE
WORD = VALUE.to_bytes(8, "little")
#: Loads from PAGES_GPA into x6, marks; loads again into x7.
_LOADS = (words.ldr(6, 0), MARK, words.ldr(7, 0), MARK)
_SET_USER_MEMORY_REGION, _SET_USER_MEMORY_REGION2 = 0x4020AE46, 0x40A0AE49
#: In the page that describes the buffer of a performance event.
_DATA_OFFSET = 1040


@pytest.mark.covers("cap USER_MEMORY", "vm KVM_SET_USER_MEMORY_REGION")
def test_user_memory_is_what_the_guest_finds(tiny: Tiny) -> None:
    machine = writing(tiny, 1)
    assert machine.vm.check_extension(Cap.USER_MEMORY) == 1
    memory = GuestMemory(PAGE)
    machine.vm.add_memory(PAGES_GPA, memory)
    assert machine.vcpus[0].run() == MARKED
    assert memory.read(0, 8) == WORD


@pytest.mark.covers("cap NR_MEMSLOTS")
def test_as_many_slots_as_it_says(vm: VM) -> None:
    count = vm.check_extension(Cap.NR_MEMSLOTS)
    memory = GuestMemory(PAGE)
    assert vm.add_memory(0, memory, slot=count - 1).slot == count - 1
    with refused(errno.EINVAL, "KVM_SET_USER_MEMORY_REGION"):
        vm.add_memory(PAGES_GPA, memory, slot=count)


@pytest.mark.covers("cap SYNC_MMU")
def test_the_guest_follows_when_the_host_changes_its_mapping(tiny: Tiny) -> None:
    """Pages go from the file behind the slot; the guest had them mapped."""
    machine = marking(tiny, *_LOADS)
    assert machine.vm.check_extension(Cap.SYNC_MMU) == 1
    memory = GuestMemory.memfd(PAGE)
    machine.vm.add_memory(PAGES_GPA, memory)
    memory.write(0, WORD)
    assert machine.vcpus[0].run() == MARKED
    memory._map.madvise(mmap.MADV_REMOVE)
    memory.write(0, WORD[::-1])
    machine.run(lambda _: None)
    assert outcome(machine).x[6:] == (VALUE, int.from_bytes(WORD, "big"))


@pytest.mark.covers("cap DESTROY_MEMORY_REGION_WORKS", "vm KVM_SET_USER_MEMORY_REGION")
def test_a_closed_slot_is_no_memory(tiny: Tiny) -> None:
    machine = marking(tiny, *_LOADS)
    assert machine.vm.check_extension(Cap.DESTROY_MEMORY_REGION_WORKS) == 1
    slot = machine.vm.add_memory(PAGES_GPA, GuestMemory(PAGE))
    assert machine.vcpus[0].run() == MARKED
    slot.close()
    assert machine.vcpus[0].run() == MmioRead(PAGES_GPA, 8)


@pytest.mark.covers("cap JOIN_MEMORY_REGIONS_WORKS")
def test_two_slots_become_one(tiny: Tiny) -> None:
    machine = writing(tiny, 2, rounds=2)
    assert machine.vm.check_extension(Cap.JOIN_MEMORY_REGIONS_WORKS) == 1
    memory = GuestMemory(2 * PAGE)
    halves = [
        machine.vm.add_memory(PAGES_GPA + n * PAGE, memory, offset=n * PAGE, size=PAGE)
        for n in range(2)
    ]
    assert machine.vcpus[0].run() == MARKED
    for half in halves:
        half.close()
    memory.write(0, bytes(2 * PAGE))
    machine.vm.add_memory(PAGES_GPA, memory)
    assert machine.vcpus[0].run() == MARKED
    assert memory.read(0, 8) == memory.read(PAGE, 8) == WORD


@pytest.mark.covers("cap READONLY_MEM", "vm KVM_SET_USER_MEMORY_REGION")
def test_read_only_memory_can_be_read(tiny: Tiny) -> None:
    machine = marking(tiny, words.ldr(6, 0), words.str_(1, 0))
    assert machine.vm.check_extension(Cap.READONLY_MEM) == 1
    memory = GuestMemory(PAGE)
    memory.write(0, WORD[::-1])
    machine.vm.add_memory(PAGES_GPA, memory, readonly=True)
    assert machine.vcpus[0].run() == MmioWrite(PAGES_GPA, WORD)
    machine.run()
    assert outcome(machine).x[6] == int.from_bytes(WORD, "big")
    assert memory.read(0, 8) == WORD[::-1]


@pytest.mark.covers("cap ARM_MTE")
def test_memory_tags_are_there_or_not(vm: VM) -> None:
    if vm.check_extension(Cap.ARM_MTE):
        vm.enable_arm_mte()
    else:
        with refused(errno.EINVAL, "KVM_ENABLE_CAP"):
            vm.enable_arm_mte()


def block_sizes(vm: VM) -> list[int]:
    """What huge pages can be split into, the smallest first."""
    sizes = vm.check_extension(Cap.ARM_SUPPORTED_BLOCK_SIZES)
    return [1 << bit for bit in range(63) if sizes >> bit & 1]


@pytest.mark.needs("eager_split")
@pytest.mark.covers(
    "enable ARM_EAGER_SPLIT_CHUNK_SIZE",
    "cap ARM_EAGER_SPLIT_CHUNK_SIZE",
    "cap ARM_SUPPORTED_BLOCK_SIZES",
)
def test_huge_pages_are_split_by_a_size_that_is_supported(vm: VM) -> None:
    supported = block_sizes(vm)
    assert supported[0] == PAGE
    assert vm.check_extension(Cap.ARM_EAGER_SPLIT_CHUNK_SIZE) == 0
    for size in [*supported, 0]:
        vm.enable_arm_eager_split_chunk_size(size)
        assert vm.check_extension(Cap.ARM_EAGER_SPLIT_CHUNK_SIZE) == size
    for size in (PAGE // 2, PAGE + 1, 2 * PAGE, 2 * supported[-1], sum(supported)):
        with refused(errno.EINVAL, "KVM_ENABLE_CAP"):
            vm.enable_arm_eager_split_chunk_size(size)
    vm.add_memory(0, GuestMemory(PAGE))
    with refused(errno.EINVAL, "KVM_ENABLE_CAP"):
        vm.enable_arm_eager_split_chunk_size(PAGE)


@pytest.mark.needs("eager_split")
def test_a_log_of_split_huge_pages_has_every_page(tiny: Tiny) -> None:
    def split(vm: VM) -> None:
        vm.enable_arm_eager_split_chunk_size(block_sizes(vm)[1])

    machine = writing(tiny, 64, rounds=2, prepare=split)
    memory = GuestMemory(4 << 20, huge_pages=True)
    slot = machine.vm.add_memory(PAGES_GPA, memory)
    assert machine.vcpus[0].run() == MARKED
    slot.log_dirty = True
    assert machine.vcpus[0].run() == MARKED
    assert bitmap_runs(slot.get_dirty_log()) == [(0, 64)]


@pytest.mark.covers("cap USER_MEMORY2")
def test_the_newer_call_for_slots(tiny: Tiny) -> None:
    machine = writing(tiny, 1)
    memory = GuestMemory(PAGE)
    hold, hva = memory._hold(0, PAGE)
    region = bytearray(struct.pack("=IIQQQ", 9, 0, PAGES_GPA, PAGE, hva).ljust(160, b"\0"))
    if machine.vm.check_extension(Cap.USER_MEMORY2):
        machine.vm.ioctl(_SET_USER_MEMORY_REGION2, region)
        assert machine.vcpus[0].run() == MARKED
        assert memory.read(0, 8) == WORD
        machine.close()
    else:
        with pytest.raises(KvmError):
            machine.vm.ioctl(_SET_USER_MEMORY_REGION2, region)
    assert hold is not None


@pytest.mark.covers("cap GUEST_MEMFD", "cap GUEST_MEMFD_FLAGS")
def test_guest_memfd_is_there_or_not(vm: VM) -> None:
    there = vm.check_extension(Cap.GUEST_MEMFD) and vm.check_extension(Cap.GUEST_MEMFD_FLAGS)
    if there:
        vm.create_guest_memfd(PAGE, flags=there).close()
    else:
        with pytest.raises(KvmError, match="This kernel has no guest_memfd"):
            vm.create_guest_memfd(PAGE)


@pytest.mark.covers("cap ARM_VM_IPA_SIZE")
def test_the_widest_addresses() -> None:
    memory = GuestMemory(PAGE)
    with Kvm() as kvm:
        bits = kvm.check_extension(Cap.ARM_VM_IPA_SIZE)
        with kvm.create_vm(ipa_bits=bits) as vm:
            vm.add_memory((1 << bits) - PAGE, memory).close()
            with refused(errno.EFAULT, "KVM_SET_USER_MEMORY_REGION"):
                vm.add_memory(1 << bits, memory)
        with refused(errno.EINVAL, "KVM_CREATE_VM"):
            kvm.create_vm(ipa_bits=bits + 1)


@pytest.mark.needs("cacheable_frames")
@pytest.mark.covers("cap ARM_CACHEABLE_PFNMAP_SUPPORTED")
def test_cacheable_memory_of_devices_is_taken_where_the_host_can(tiny: Tiny) -> None:
    machine = marking(tiny, words.ldr(6, 0, _DATA_OFFSET))
    buffer = perf_buffer()
    assert buffer is not None
    hold = ffi.from_buffer(buffer)
    hva = int(ffi.cast("uintptr_t", hold))
    region = struct.pack("=IIQQQ", 9, 0, PAGES_GPA, SIZE, hva)
    if machine.vm.check_extension(Cap.ARM_CACHEABLE_PFNMAP_SUPPORTED):
        machine.vm.ioctl(_SET_USER_MEMORY_REGION, bytearray(region))
        machine.run()
        assert outcome(machine).x[6] == PAGE, "where the buffer's data begins"
        machine.close()
    else:
        with pytest.raises(KvmError) as caught:
            machine.vm.ioctl(_SET_USER_MEMORY_REGION, bytearray(region))
        assert caught.value.errno == errno.EINVAL
    assert hold is not None
