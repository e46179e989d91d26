# SPDX-License-Identifier: Apache-2.0
"""Stolen time: the guest is told where to read it, and finds it there."""

from __future__ import annotations

import errno

import pytest
from guests import layout, words

from pykvm import VM as Vm
from pykvm import Cap, Vcpu
from tests.arm64.conftest import refused
from tests.arm64.execute import CODE_GPA, executed, finished, loaded
from tests.arm64.spis import Tiny

PV_TIME_FEATURES, PV_TIME_ST = 0xC500_0020, 0xC500_0021
NOT_SUPPORTED = 2**64 - 1
AREA_GPA = CODE_GPA + 0x1000


@pytest.mark.covers("attr VCPU PVTIME IPA", "cap STEAL_TIME")
@pytest.mark.needs("stolen_time")
def test_a_guest_finds_its_stolen_time(tiny: Tiny) -> None:
    machine = loaded(tiny, words.hvc(), words.ldr(1, 0), words.ldr(2, 0, 8), x=(PV_TIME_ST,))
    assert machine.vm.check_extension(Cap.STEAL_TIME) == 1
    machine.memory.write(AREA_GPA - layout.RAM_GPA, b"\xff" * 64)
    machine.vcpus[0].pvtime_ipa = AREA_GPA
    there = finished(machine)
    assert there.x[:2] == (AREA_GPA, 0), "its address; revision and attributes are 0"
    assert there.x[2] != 2**64 - 1, "a time"


@pytest.mark.covers("attr VCPU PVTIME IPA")
@pytest.mark.needs("stolen_time")
def test_a_guest_is_told_whether_there_is_stolen_time(tiny: Tiny) -> None:
    question = (PV_TIME_FEATURES, PV_TIME_ST)
    assert executed(tiny, words.hvc(), x=question).x[0] == NOT_SUPPORTED
    machine = loaded(tiny, words.hvc(), x=question)
    machine.vcpus[0].pvtime_ipa = AREA_GPA
    assert finished(machine).x[0] == 0


@pytest.mark.covers("attr VCPU PVTIME IPA")
@pytest.mark.needs("stolen_time")
def test_its_address_is_set_once(tiny: Tiny) -> None:
    vcpu = loaded(tiny, words.NOP).vcpus[0]
    assert vcpu.pvtime_ipa == 2**64 - 1
    for wrong in (AREA_GPA + 32, layout.MMIO_GPA):
        with refused(errno.EINVAL, "KVM_SET_DEVICE_ATTR"):
            vcpu.pvtime_ipa = wrong
    vcpu.pvtime_ipa = AREA_GPA
    assert vcpu.pvtime_ipa == AREA_GPA
    with refused(errno.EEXIST, "KVM_SET_DEVICE_ATTR"):
        vcpu.pvtime_ipa = AREA_GPA


@pytest.mark.covers("cap STEAL_TIME")
def test_the_attribute_is_there_where_the_host_counts(vm: Vm, vcpu: Vcpu) -> None:
    assert vm.check_extension(Cap.STEAL_TIME) == vcpu.has_device_attr(2, 0)
