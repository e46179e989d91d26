# SPDX-License-Identifier: Apache-2.0
"""The PMU of a vCPU: it counts, its interrupt comes, and what it may count can be chosen."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from guests import arguments, words
from tally import wait_for
from tinyvm import TinyVm

from pykvm import VM as Vm
from pykvm import Cap, Interrupted, KvmError, PmuEventAction, Vcpu, VcpuFeature
from tests.arm64.conftest import PATIENCE, refused
from tests.arm64.execute import loaded
from tests.arm64.spis import Tiny

pytestmark = pytest.mark.needs("pmu")

CYCLES = 0x11
PPI = 23
PMU = [VcpuFeature.PMU_V3]
STRICT = [VcpuFeature.PMU_V3, VcpuFeature.PMU_V3_STRICT]


def host_pmu() -> int:
    """The number that the host gave to its PMU."""
    found = Path("/sys/bus/event_source/devices").glob("armv8*/type")
    return int(next(found).read_text())


def counting(tiny: Tiny, *, features: list[VcpuFeature] = PMU, event: int = CYCLES) -> TinyVm:
    """A machine whose guest will count an event, with everything set up but the PMU."""
    machine = tiny("pmu", features=features)
    machine.set_registers(arguments.pmu(gic_version=machine.gic_version, intid=PPI, event=event))
    return machine


def counted(machine: TinyVm) -> tuple[int, int, int]:
    """What the guest saw: PMCR_EL0, PMCEID0_EL0, and how often the event came."""
    vcpu = machine.vcpus[0]
    vcpu.pmu_irq = PPI
    vcpu.pmu_init()
    with machine.running():
        assert wait_for(lambda: machine.report.done, 1, PATIENCE), machine.report.failure
    assert machine.report.taken(PPI) == 1
    assert not machine.report.spurious
    pmcr, events, count = machine.report.results[:3]
    return pmcr, events, count


@pytest.mark.covers("attr VCPU PMU IRQ", "attr VCPU PMU INIT", "cap ARM_PMU_V3")
def test_a_guest_counts_and_takes_the_overflow_s_interrupt(tiny: Tiny) -> None:
    machine = counting(tiny)
    assert machine.vm.check_extension(Cap.ARM_PMU_V3) == 1
    _, events, count = counted(machine)
    assert events >> CYCLES & 1
    assert count > 0


@pytest.mark.covers("attr VCPU PMU IRQ", "vcpu KVM_GET_DEVICE_ATTR")
def test_its_interrupt_is_read_as_it_was_set_once(tiny: Tiny) -> None:
    vcpu = counting(tiny).vcpus[0]
    with refused(errno.ENXIO, "KVM_GET_DEVICE_ATTR"):
        _ = vcpu.pmu_irq
    vcpu.pmu_irq = PPI
    assert vcpu.pmu_irq == PPI
    with refused(errno.EBUSY, "KVM_SET_DEVICE_ATTR"):
        vcpu.pmu_irq = PPI


@pytest.mark.covers("attr VCPU PMU INIT")
def test_it_must_be_ready_before_the_first_run(tiny: Tiny) -> None:
    machine = counting(tiny)
    vcpu = machine.vcpus[0]
    with refused(errno.ENXIO, "KVM_SET_DEVICE_ATTR"):
        vcpu.pmu_init()
    vcpu.kick()  # a run that is not refused ends
    with refused(errno.EINVAL, "KVM_RUN"):
        vcpu.run()
    vcpu.pmu_irq = PPI
    vcpu.pmu_init()
    assert vcpu.run() == Interrupted()
    with refused(errno.EBUSY, "KVM_SET_DEVICE_ATTR"):
        vcpu.pmu_init()


@pytest.mark.covers("attr VCPU PMU FILTER")
def test_a_denied_event_counts_nothing(tiny: Tiny) -> None:
    machine = counting(tiny)
    machine.vcpus[0].pmu_filter(CYCLES, 1, PmuEventAction.DENY)
    _, events, count = counted(machine)
    assert (events >> CYCLES & 1, count) == (0, 0)
    assert events, "the others are as they were"


@pytest.mark.covers("attr VCPU PMU FILTER")
def test_what_is_allowed_first_is_all_there_is(tiny: Tiny) -> None:
    machine = counting(tiny)
    machine.vcpus[0].pmu_filter(CYCLES - 1, 1, PmuEventAction.ALLOW)
    _, events, count = counted(machine)
    assert (events >> CYCLES & 1, count) == (0, 0)


@pytest.mark.covers("attr VCPU PMU SET_PMU")
def test_a_pmu_of_the_host_is_chosen_by_its_number(tiny: Tiny) -> None:
    machine = counting(tiny)
    vcpu = machine.vcpus[0]
    with refused(errno.ENXIO, "KVM_SET_DEVICE_ATTR"):
        vcpu.set_pmu(1)  # the number of software events
    vcpu.set_pmu(host_pmu())
    assert counted(machine)[2] > 0


@pytest.mark.covers("attr VCPU PMU SET_PMU", "cap ARM_PMU_V3_STRICT")
@pytest.mark.needs("pmu_strict")
def test_where_none_is_chosen_by_itself_there_is_none(tiny: Tiny) -> None:
    machine = counting(tiny, features=STRICT)
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.ARM_PMU_V3_STRICT) == 1
    with refused(errno.ENXIO, "KVM_SET_DEVICE_ATTR"):
        vcpu.pmu_filter(CYCLES, 1, PmuEventAction.DENY)
    vcpu.set_pmu(host_pmu())
    assert counted(machine)[2] > 0


@pytest.mark.covers("cap ARM_PMU_V3_STRICT")
def test_strictness_is_for_hosts_that_say_so(vm: Vm) -> None:
    with vm.create_vcpu(0) as vcpu:
        if vm.check_extension(Cap.ARM_PMU_V3_STRICT):
            vcpu.arm_vcpu_init(STRICT)
        else:
            with pytest.raises(KvmError) as caught:
                vcpu.arm_vcpu_init(STRICT)
            assert caught.value.errno in (errno.ENOENT, errno.EINVAL)


@pytest.mark.covers("attr VCPU PMU SET_NR_COUNTERS")
@pytest.mark.needs("pmu_nr_counters")
def test_a_guest_is_given_fewer_counters(tiny: Tiny) -> None:
    machine = counting(tiny)
    machine.vcpus[0].set_pmu_nr_counters(2)
    pmcr, _, count = counted(machine)
    assert (pmcr >> 11 & 0x1F, count > 0) == (2, True)


@pytest.mark.covers("attr VCPU PMU SET_NR_COUNTERS", "attr VCPU PMU SET_PMU")
@pytest.mark.needs("pmu_nr_counters")
def test_choosing_a_pmu_gives_all_its_counters_again(tiny: Tiny) -> None:
    machine = counting(tiny)
    vcpu = machine.vcpus[0]
    with refused(errno.EINVAL, "KVM_SET_DEVICE_ATTR"):
        vcpu.set_pmu_nr_counters(32)
    vcpu.set_pmu_nr_counters(1)
    vcpu.set_pmu(host_pmu())
    assert counted(machine)[0] >> 11 & 0x1F > 1


def test_a_vcpu_without_one_refuses(vcpu: Vcpu) -> None:
    with refused(errno.ENODEV, "KVM_SET_DEVICE_ATTR"):
        vcpu.pmu_init()


@pytest.mark.covers("cap ARM_USER_IRQ")
def test_without_a_gic_its_line_comes_to_the_program(tiny: Tiny) -> None:
    counter, every, overflow = (3, 3, 14, 8, 0), (3, 3, 9, 12, 1), (3, 0, 9, 14, 1)
    kind, control, increment = (3, 3, 14, 12, 0), (3, 3, 9, 12, 0), (3, 3, 9, 12, 4)
    machine = loaded(
        tiny, words.msr(kind, 31), words.msr(counter, 1), words.msr(overflow, 2),
        words.msr(every, 2), words.msr(control, 2), words.ISB, words.msr(increment, 2), words.SPIN,
        x=(0, 2**32 - 1, 1), features=PMU,
    )  # fmt: skip
    vcpu = machine.vcpus[0]
    vcpu.pmu_init()
    assert vcpu.run() == Interrupted(by="line")
    assert vcpu.device_irq_level.pmu
