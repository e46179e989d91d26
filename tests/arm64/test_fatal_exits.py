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
    """KVM sees it when the guest comes back, and lets it in no more."""
    machine = loaded(tiny, words.SPIN, gic=None, features=[VcpuFeature.HAS_EL2])
    vcpu = machine.vcpus[0]
    vcpu.set_one_reg("pc", layout.RAM_GPA)
    vcpu.set_one_reg("pstate", AARCH32_USER)
    assert vcpu.run() == FailEntry(0, 0)
    with refused(errno.ENOEXEC, "KVM_RUN"):
        vcpu.run()


@pytest.mark.covers("cap INTERNAL_ERROR_DATA")
def test_internal_errors_would_come_with_data(vm: Vm) -> None:
    """No host makes one by itself."""
    assert vm.check_extension(Cap.INTERNAL_ERROR_DATA) == 1
