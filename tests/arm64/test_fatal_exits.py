# SPDX-License-Identifier: Apache-2.0
"""Exits after which a vCPU cannot simply go on."""

from __future__ import annotations

import errno

import pytest
from guests import layout, words

from pykvm import VM as Vm
from pykvm import Cap, FailEntry, VcpuFeature
from tests.arm64.conftest import refused
from tests.arm64.execute import loaded
from tests.arm64.spis import Tiny

AARCH32_USER = 0x10


@pytest.mark.covers("exit FAIL_ENTRY")
@pytest.mark.needs("el2")
def test_a_hypervisor_as_guest_cannot_have_aarch32_programs(tiny: Tiny) -> None:
    """KVM sees it when the guest comes back, and takes the vCPU for uninitialised from then on."""
    machine = loaded(tiny, words.SPIN, gic=None, features=[VcpuFeature.HAS_EL2])
    vcpu = machine.vcpus[0]
    vcpu.set_one_reg("pc", layout.RAM_GPA)
    vcpu.set_one_reg("pstate", AARCH32_USER)
    assert vcpu.run() == FailEntry(0, 0)
    with refused(errno.ENOEXEC, "KVM_GET_ONE_REG"):
        vcpu.get_one_reg("pc")
    vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2, VcpuFeature.HAS_EL2])
    assert vcpu.get_one_reg("pstate") != AARCH32_USER


@pytest.mark.covers("cap INTERNAL_ERROR_DATA")
def test_internal_errors_would_come_with_data(vm: Vm) -> None:
    """No host makes one by itself."""
    assert vm.check_extension(Cap.INTERNAL_ERROR_DATA) == 1


@pytest.mark.covers("cap ARM_SEA_TO_USER")
@pytest.mark.covers("enable ARM_SEA_TO_USER", refused="EINVAL")
def test_memory_errors_come_here_where_the_host_says_so(vm: Vm) -> None:
    """No emulated host has one: QEMU gives external aborts to the guest at once."""
    if vm.check_extension(Cap.ARM_SEA_TO_USER):
        vm.enable_arm_sea_to_user()
    else:
        with refused(errno.EINVAL, "KVM_ENABLE_CAP"):
            vm.enable_arm_sea_to_user()
