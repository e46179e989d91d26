# SPDX-License-Identifier: Apache-2.0
"""Who answers a guest's hypercalls, and what its counters show."""

from __future__ import annotations

import errno
import time

import pytest
from guests import words

from pykvm import VM as Vm
from pykvm import Cap, Hypercall, SmcccAction
from tests.arm64.conftest import refused
from tests.arm64.execute import CODE_GPA, executed, finished, loaded
from tests.arm64.spis import Tiny

PSCI_VERSION = 0x8400_0000
PTP = 0x8600_0001
#: A number that nobody but a user's program serves.
VENDOR_CALL = 0xC600_F000
NOT_SUPPORTED = 2**64 - 1
CNTPCT_EL0, CNTVCT_EL0 = (3, 3, 14, 0, 1), (3, 3, 14, 0, 2)


@pytest.mark.covers("attr VM SMCCC_FILTER", "vm KVM_SET_DEVICE_ATTR", "exit HYPERCALL")
@pytest.mark.needs("smccc_filter")
@pytest.mark.parametrize(("call", "is_smc"), [(words.hvc(), False), (words.smc(), True)])
def test_a_forwarded_call_is_answered_by_the_program(tiny: Tiny, call: int, is_smc: bool) -> None:
    machine = loaded(tiny, call, x=(VENDOR_CALL, 5, 6))
    machine.vm.set_smccc_filter(VENDOR_CALL - 1, 3, SmcccAction.FWD_TO_USER)
    vcpu = machine.vcpus[0]
    told = vcpu.run()
    assert isinstance(told, Hypercall)
    assert (told.nr, told.is_smc, told.is_16bit) == (VENDOR_CALL, is_smc, False)
    assert [vcpu.get_one_reg(f"x{n}") for n in (1, 2)] == [5, 6]
    assert vcpu.get_one_reg("pc") == CODE_GPA + 4, "behind the call"
    vcpu.set_one_reg("x0", 0x1234)
    vcpu.set_one_reg("x3", 0x5678)
    there = finished(machine)
    assert (there.x[0], there.x[3], there.exceptions) == (0x1234, 0x5678, 0)


@pytest.mark.covers("attr VM SMCCC_FILTER", "vm KVM_SET_DEVICE_ATTR")
@pytest.mark.needs("smccc_filter")
def test_a_denied_call_is_not_supported(tiny: Tiny) -> None:
    assert executed(tiny, words.hvc(), x=(PSCI_VERSION,)).x[0] >= 0x1_0000
    machine = loaded(tiny, words.hvc(), x=(PSCI_VERSION,))
    machine.vm.set_smccc_filter(PSCI_VERSION, 1, SmcccAction.DENY)
    assert finished(machine).x[0] == NOT_SUPPORTED


@pytest.mark.covers("vm KVM_HAS_DEVICE_ATTR")
@pytest.mark.needs("smccc_filter")
def test_a_vm_tells_which_attributes_it_has(vm: Vm) -> None:
    assert vm.has_smccc_filter()
    assert vm.has_device_attr(0, 0)
    assert not vm.has_device_attr(0, 99)


@pytest.mark.needs("smccc_filter")
def test_filters_neither_overlap_nor_come_late(tiny: Tiny) -> None:
    machine = loaded(tiny, words.NOP)
    vm = machine.vm
    vm.set_smccc_filter(VENDOR_CALL, 16, SmcccAction.HANDLE)
    for base in (VENDOR_CALL + 15, 0x8000_0000):
        with refused(errno.EEXIST, "KVM_SET_DEVICE_ATTR"):
            vm.set_smccc_filter(base, 1, SmcccAction.DENY)
    with refused(errno.EINVAL, "KVM_SET_DEVICE_ATTR"):
        vm.set_smccc_filter(0xFFFF_FFFF, 2, SmcccAction.DENY)
    finished(machine)
    with refused(errno.EBUSY, "KVM_SET_DEVICE_ATTR"):
        vm.set_smccc_filter(VENDOR_CALL + 16, 1, SmcccAction.DENY)


def test_a_host_without_filters_refuses_them(vm: Vm) -> None:
    """What the question answers is what the call does."""
    if vm.has_smccc_filter():
        vm.set_smccc_filter(VENDOR_CALL, 1, SmcccAction.DENY)
    else:
        with refused(errno.EINVAL, "KVM_SET_DEVICE_ATTR"):
            vm.set_smccc_filter(VENDOR_CALL, 1, SmcccAction.DENY)


@pytest.mark.covers("vm KVM_ARM_SET_COUNTER_OFFSET", "cap COUNTER_OFFSET")
@pytest.mark.needs("counter_offset")
@pytest.mark.parametrize("counter", [CNTVCT_EL0, CNTPCT_EL0])
def test_a_guest_sees_its_counters_offset(tiny: Tiny, counter: words.Sysreg) -> None:
    machine = loaded(tiny, words.mrs(0, counter))
    assert machine.vm.check_extension(Cap.COUNTER_OFFSET) == 1
    machine.vm.arm_set_counter_offset(2**63)
    assert finished(machine).x[0] >> 63 == 1
    machine = loaded(tiny, words.mrs(0, counter))
    assert finished(machine).x[0] >> 63 == 0


@pytest.mark.covers("cap COUNTER_OFFSET")
def test_counters_are_offset_where_the_host_says_so(vm: Vm) -> None:
    if vm.check_extension(Cap.COUNTER_OFFSET):
        vm.arm_set_counter_offset(5)
    else:
        with refused(errno.EINVAL, "KVM_ARM_SET_COUNTER_OFFSET"):
            vm.arm_set_counter_offset(5)


@pytest.mark.covers("cap PTP_KVM")
def test_a_guest_reads_the_host_s_clock(tiny: Tiny) -> None:
    machine = loaded(tiny, words.hvc(), x=(PTP, 0))
    assert machine.vm.check_extension(Cap.PTP_KVM) == 1
    before = time.time_ns()
    there = finished(machine)
    seen = there.x[0] << 32 | there.x[1]
    assert before <= seen <= time.time_ns()
