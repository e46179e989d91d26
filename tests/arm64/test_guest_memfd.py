# SPDX-License-Identifier: Apache-2.0
"""guest_memfd under a guest: memory that only it touches, and what happens where it is gone."""

from __future__ import annotations

import errno
import mmap
import os
import struct

import pytest
from guests import words

from pykvm import VM, GuestMemfdFlag, GuestMemory, MemoryFault
from tests.arm64.conftest import refused
from tests.arm64.execute import outcome
from tests.arm64.pages import MARK, MARKED, PAGES_GPA, VALUE, marking, writing
from tests.arm64.spis import Tiny

pytestmark = pytest.mark.needs("guest_memfd")

PAGE = mmap.PAGESIZE
_CREATE_GUEST_MEMFD, _SET_USER_MEMORY_REGION2 = 0xC040AED4, 0x40A0AE49
_GUEST_MEMFD = 4


@pytest.mark.covers("vm KVM_CREATE_GUEST_MEMFD", "vm KVM_SET_USER_MEMORY_REGION2")
def test_the_guest_finds_zeros_in_a_hole(tiny: Tiny) -> None:
    machine = marking(tiny, words.str_(1, 0), words.ldr(6, 0), MARK, words.ldr(7, 0))
    memfd = machine.vm.create_guest_memfd(PAGE)
    slot = machine.vm.add_guest_memfd(PAGES_GPA, memfd)
    assert machine.vcpus[0].run() == MARKED
    assert slot.memory is not None
    assert int.from_bytes(slot.memory.read(0, 8), "little") == VALUE
    memfd.punch_hole()
    machine.run()
    assert outcome(machine).x[6:] == (VALUE, 0)
    slot.close()
    memfd.close()


def test_memory_that_is_the_guest_s_alone(tiny: Tiny) -> None:
    machine = marking(tiny, words.str_(1, 0), words.ldr(6, 0))
    memfd = machine.vm.create_guest_memfd(PAGE, flags=GuestMemfdFlag.MMAP)
    machine.vm.add_guest_memfd(PAGES_GPA, memfd)
    machine.run()
    assert outcome(machine).x[6] == VALUE


@pytest.mark.covers("exit MEMORY_FAULT")
def test_memory_that_is_gone_is_a_fault_until_there_is_some(tiny: Tiny) -> None:
    """A file that is closed under its slot, as pykvm's own cannot be."""
    machine = writing(tiny, 2)
    made = bytearray(struct.pack("=QQ", PAGE, GuestMemfdFlag.MMAP).ljust(64, b"\0"))
    fd = machine.vm.ioctl(_CREATE_GUEST_MEMFD, made)
    hold, hva = GuestMemory(PAGE)._hold(0, PAGE)
    region = struct.pack("=IIQQQQI", 9, _GUEST_MEMFD, PAGES_GPA + PAGE, PAGE, hva, 0, fd)
    machine.vm.ioctl(_SET_USER_MEMORY_REGION2, bytearray(region.ljust(160, b"\0")))
    memory = GuestMemory(2 * PAGE)
    machine.vm.add_memory(PAGES_GPA, memory, size=PAGE)
    os.close(fd)
    for _ in range(2):
        assert machine.vcpus[0].run() == MemoryFault(0, PAGES_GPA + PAGE, PAGE)
    machine.vm.ioctl(_SET_USER_MEMORY_REGION2, bytearray(struct.pack("=I", 9).ljust(160, b"\0")))
    machine.vm.add_memory(PAGES_GPA + PAGE, memory, offset=PAGE)
    assert machine.vcpus[0].run() == MARKED
    assert memory.read(PAGE, 8) == VALUE.to_bytes(8, "little")
    assert hold is not None


def test_a_file_that_cannot_be_mapped_is_no_slot(vm: VM) -> None:
    memfd = vm.create_guest_memfd(PAGE, flags=0)
    with refused(errno.EINVAL, "KVM_SET_USER_MEMORY_REGION2"):
        vm.add_guest_memfd(PAGES_GPA, memfd)


@pytest.mark.needs("mte")
def test_no_tags_with_it(vm: VM) -> None:
    vm.enable_arm_mte()
    memfd = vm.create_guest_memfd(PAGE)
    with refused(errno.EINVAL, "KVM_SET_USER_MEMORY_REGION2"):
        vm.add_guest_memfd(PAGES_GPA, memfd)
