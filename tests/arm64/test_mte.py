# SPDX-License-Identifier: Apache-2.0
"""Memory tags: what the guest gives its memory the host reads, and the other way round."""

from __future__ import annotations

import errno
import mmap
import os

import pytest
from guests import words
from tinyvm import TinyVm

from pykvm import VM, Cap, GuestMemory, KvmError, sysreg
from tests.arm64.conftest import refused
from tests.arm64.execute import outcome
from tests.arm64.pages import MARK, PAGES_GPA, marking
from tests.arm64.spis import Tiny

PAGE = mmap.PAGESIZE
TAGS = PAGE // 16
_MAIR_EL1 = (3, 0, 10, 2, 0)
#: Device, then (where the guests' tables have memory) normal memory with tags.
_MAIR_TAGGED = 0xF004
_SCTLR_EL1 = sysreg(3, 0, 1, 0, 0)
#: EL1 may use tags.
_SCTLR_ATA = 1 << 43


def tagging(tiny: Tiny, *instructions: int, pages: int = 1) -> TinyVm:
    """A machine whose guest has memory with tags at PAGES_GPA."""
    start = (
        words.msr(_MAIR_EL1, 3), words.DSB_SY, words.TLBI_VMALLE1, words.DSB_SY, words.ISB,
    )  # fmt: skip
    machine = marking(tiny, *start, *instructions, pages=_MAIR_TAGGED, prepare=VM.enable_arm_mte)
    machine.vm.add_memory(PAGES_GPA, GuestMemory(pages * PAGE))
    sctlr = machine.vcpus[0].get_one_reg(_SCTLR_EL1)
    machine.vcpus[0].set_one_reg(_SCTLR_EL1, sctlr | _SCTLR_ATA)
    return machine


@pytest.mark.needs("mte")
@pytest.mark.covers("enable ARM_MTE", "vm KVM_ARM_MTE_COPY_TAGS")
def test_the_host_reads_the_guest_s_tags(tiny: Tiny) -> None:
    tag = words.mov(1, 4)  # all ones: tag 15
    machine = tagging(tiny, tag, words.stg(1, 0), words.add_x(0, 0, 2), MARK, pages=2)
    machine.vcpus[0].run()
    tags = machine.vm.arm_mte_read_tags(PAGES_GPA, 2 * PAGE)
    assert tags == bytes([15]) + bytes(2 * TAGS - 1)


@pytest.mark.needs("mte")
@pytest.mark.covers("enable ARM_MTE", "vm KVM_ARM_MTE_COPY_TAGS", "cap ARM_MTE")
def test_the_guest_reads_the_host_s_tags(tiny: Tiny) -> None:
    machine = tagging(tiny, words.mov(1, 0), words.ldg(1, 0), MARK, words.mov(0, 1))
    assert machine.vm.check_extension(Cap.ARM_MTE) == 1
    given = bytes([5]) + bytes(n % 16 for n in range(TAGS - 1))
    machine.vm.arm_mte_write_tags(PAGES_GPA, given)
    assert machine.vm.arm_mte_read_tags(PAGES_GPA, PAGE) == given
    machine.vcpus[0].run()
    machine.run()
    assert outcome(machine).x[0] == PAGES_GPA | 5 << 56


@pytest.mark.needs("mte")
def test_where_memory_ends_is_told(tiny: Tiny) -> None:
    machine = tagging(tiny, MARK)
    with pytest.raises(KvmError, match=f"gpa={PAGES_GPA + PAGE:#x}") as caught:
        machine.vm.arm_mte_read_tags(PAGES_GPA, 3 * PAGE)
    assert caught.value.errno == errno.EFAULT
    with pytest.raises(KvmError) as caught:
        machine.vm.arm_mte_write_tags(PAGES_GPA - PAGE, bytes(TAGS))
    assert caught.value.errno == errno.EFAULT


@pytest.mark.needs("mte")
def test_tags_are_not_written_while_writes_are_logged(tiny: Tiny) -> None:
    machine = tagging(tiny, MARK)
    machine.slot.log_dirty = True
    with refused(errno.EBUSY, "KVM_ARM_MTE_COPY_TAGS"):
        machine.vm.arm_mte_write_tags(PAGES_GPA, bytes(TAGS))
    machine.slot.log_dirty = False
    machine.vm.arm_mte_write_tags(PAGES_GPA, bytes(TAGS))


def test_a_vm_without_tags(vm: VM) -> None:
    with refused(errno.EINVAL, "KVM_ARM_MTE_COPY_TAGS"):
        vm.arm_mte_read_tags(0, PAGE)
    with refused(errno.EINVAL, "KVM_ARM_MTE_COPY_TAGS"):
        vm.arm_mte_write_tags(0, bytes(TAGS))


def test_ranges_and_tags_are_checked(vm: VM) -> None:
    for gpa, size, words_ in ((1, PAGE, "gpa 0x1 is no"), (0, PAGE + 16, "size 0x.*10 is no")):
        with pytest.raises(ValueError, match=words_):
            vm.arm_mte_read_tags(gpa, size)
    for tags, words_ in (
        (b"", "tags are empty"),
        (bytes(TAGS + 1), "size 0x.* is no multiple of the host's page"),
        (os.urandom(TAGS - 1) + b"\x10", "numbers from 0 to 15"),
    ):
        with pytest.raises(ValueError, match=words_):
            vm.arm_mte_write_tags(0, tags)


def test_it_is_switched_on_before_any_vcpu(vm: VM) -> None:
    vm.create_vcpu(0).close()
    with refused(errno.EINVAL, "KVM_ENABLE_CAP"):
        vm.enable_arm_mte()
