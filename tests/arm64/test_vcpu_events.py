# SPDX-License-Identifier: Apache-2.0
"""Exceptions that the host injects: SErrors, and external aborts as an answer to an access."""

from __future__ import annotations

import errno

import pytest
from guests import layout, words

from pykvm import ArmNisv, Cap, KvmError, MmioRead, SystemEvent, Vcpu, VcpuEvents
from tests.arm64.conftest import refused
from tests.arm64.execute import CODE_GPA, finished, loaded
from tests.arm64.spis import Tiny

SERROR, DATA_ABORT = 0x2F, 0x25
EXTERNAL_ABORT = 0x10
UNMASK_SERROR = words.unmask(4)
EXTERNAL = VcpuEvents(ext_dabt_pending=True)


def test_nothing_waits_at_first(vcpu: Vcpu) -> None:
    assert vcpu.get_vcpu_events() == VcpuEvents()


@pytest.mark.covers(
    "vcpu KVM_SET_VCPU_EVENTS", "vcpu KVM_GET_VCPU_EVENTS", "cap ARM_INJECT_SERROR_ESR"
)
@pytest.mark.needs("ras")
def test_a_guest_takes_an_serror_with_its_syndrome(tiny: Tiny) -> None:
    machine = loaded(tiny, UNMASK_SERROR, words.ISB)
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.ARM_INJECT_SERROR_ESR) == 1
    error = VcpuEvents(serror_pending=True, serror_esr=0x12345)
    vcpu.set_vcpu_events(error)
    assert vcpu.get_vcpu_events() == error
    there = finished(machine)
    assert there.interrupts == 1
    assert (there.serror_esr >> 26 & 0x3F, there.serror_esr & 0x1FFFFFF) == (SERROR, 0x12345)
    assert vcpu.get_vcpu_events() == VcpuEvents()


@pytest.mark.covers("vcpu KVM_SET_VCPU_EVENTS", "vcpu KVM_GET_VCPU_EVENTS", "cap VCPU_EVENTS")
def test_an_serror_waits_until_the_guest_takes_it(tiny: Tiny) -> None:
    load = words.ldr(0, 1)
    machine = loaded(
        tiny, words.mask(4), load, load, UNMASK_SERROR, words.ISB, x=(0, layout.MMIO_GPA)
    )
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.VCPU_EVENTS) == 1
    assert vcpu.run() == MmioRead(layout.MMIO_GPA, 8)
    vcpu.set_vcpu_events(VcpuEvents(serror_pending=True))
    assert vcpu.run() == MmioRead(layout.MMIO_GPA, 8)
    assert vcpu.get_vcpu_events().serror_pending, "it is masked up to here"
    there = finished(machine)
    assert (there.interrupts, there.serror_esr >> 26 & 0x3F) == (1, SERROR)
    assert not vcpu.get_vcpu_events().serror_pending


@pytest.mark.covers("cap ARM_INJECT_SERROR_ESR")
def test_a_syndrome_is_for_hosts_that_say_so(vcpu: Vcpu, vm: object) -> None:
    there = vm.check_extension(Cap.ARM_INJECT_SERROR_ESR)  # type: ignore[attr-defined]
    error = VcpuEvents(serror_pending=True, serror_esr=5)
    if there:
        vcpu.set_vcpu_events(error)
        assert vcpu.get_vcpu_events() == error
    else:
        with refused(errno.EINVAL, "KVM_SET_VCPU_EVENTS"):
            vcpu.set_vcpu_events(error)


@pytest.mark.covers("vcpu KVM_SET_VCPU_EVENTS", "cap ARM_INJECT_EXT_DABT")
def test_an_external_abort_answers_a_load(tiny: Tiny) -> None:
    machine = loaded(tiny, words.ldr(0, 1), x=(7, layout.MMIO_GPA))
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.ARM_INJECT_EXT_DABT) == 1
    assert vcpu.run() == MmioRead(layout.MMIO_GPA, 8)
    vcpu.set_vcpu_events(EXTERNAL)
    there = finished(machine)
    assert there.exceptions == 1
    assert (there.esr >> 26 & 0x3F, there.esr & 0x3F) == (DATA_ABORT, EXTERNAL_ABORT)
    assert (there.far, there.elr, there.x[0]) == (layout.MMIO_GPA, CODE_GPA, 7)


@pytest.mark.covers("vcpu KVM_SET_VCPU_EVENTS", "exit ARM_NISV")
def test_an_external_abort_answers_an_access_that_nothing_describes(tiny: Tiny) -> None:
    machine = loaded(tiny, words.ldp(2, 3, 1), x=(0, layout.MMIO_GPA, 5, 6))
    machine.vm.enable_arm_nisv_to_user()
    vcpu = machine.vcpus[0]
    told = vcpu.run()
    assert isinstance(told, ArmNisv)
    vcpu.set_vcpu_events(EXTERNAL)
    there = finished(machine)
    assert (there.exceptions, there.esr & 0x3F, there.far) == (1, EXTERNAL_ABORT, layout.MMIO_GPA)
    assert there.x[2:4] == (5, 6)


@pytest.mark.covers("exit ARM_NISV", "enable ARM_NISV_TO_USER", "cap ARM_NISV_TO_USER")
def test_an_access_that_nothing_describes_can_be_emulated(tiny: Tiny) -> None:
    machine = loaded(tiny, words.ldp(2, 3, 1), x=(0, layout.MMIO_GPA + 16))
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.ARM_NISV_TO_USER) == 1
    with pytest.raises(KvmError, match="outside every slot"):
        vcpu.run()
    machine.vm.enable_arm_nisv_to_user()
    told = vcpu.run()
    assert isinstance(told, ArmNisv)
    assert (told.fault_ipa, told.is_write) == (layout.MMIO_GPA + 16, False)
    assert vcpu.get_one_reg("pc") == CODE_GPA
    for name, value in (("x2", 11), ("x3", 12), ("pc", CODE_GPA + 4)):
        vcpu.set_one_reg(name, value)
    there = finished(machine)
    assert (there.exceptions, there.x[2:4]) == (0, (11, 12))


@pytest.mark.covers("exit UNKNOWN")
def test_a_run_that_breaks_off_has_no_exit(tiny: Tiny) -> None:
    """KVM_RUN fails then; the reason that an earlier exit left is gone."""
    machine = loaded(tiny, words.ldr(0, 1), words.ldp(2, 3, 1), x=(0, layout.MMIO_GPA))
    vcpu = machine.vcpus[0]
    with vcpu.kvm_run as page:
        reason = page[8:12].cast("I")
        assert isinstance(vcpu.run(), MmioRead)
        assert reason[0] == 6
        with pytest.raises(KvmError) as caught:
            vcpu.run()
        assert (caught.value.errno, reason[0]) == (errno.ENOSYS, 0)
        reason.release()
    vcpu.set_one_reg("pc", CODE_GPA + 8)
    assert isinstance(machine.run(), SystemEvent)
