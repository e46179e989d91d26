# SPDX-License-Identifier: Apache-2.0
"""A vCPU that is stopped, suspended, or may run."""

from __future__ import annotations

import errno

import pytest
from guests import arguments, layout, words

from pykvm import Exit, Interrupted, MpState, SystemEvent, SystemEventType, Vcpu
from tests.arm64.conftest import refused
from tests.arm64.execute import executed, loaded, outcome
from tests.arm64.spis import INTID, Tiny, arrives, ready, started
from tests.kvm.threads import is_asleep, wait_until, workers

SYSTEM_SUSPEND = 0xC400_000E
NOT_SUPPORTED, DENIED = 2**64 - 1, 2**64 - 3


@pytest.mark.covers("vcpu KVM_GET_MP_STATE", "vcpu KVM_SET_MP_STATE")
def test_a_state_is_read_as_it_was_set(vcpu: Vcpu) -> None:
    assert vcpu.get_mp_state() is MpState.RUNNABLE
    for state in (MpState.STOPPED, MpState.SUSPENDED, MpState.RUNNABLE):
        vcpu.set_mp_state(state)
        assert vcpu.get_mp_state() is state


def test_states_of_other_machines_are_refused(vcpu: Vcpu) -> None:
    with refused(errno.EINVAL, "KVM_SET_MP_STATE"):
        vcpu.set_mp_state(3)


@pytest.mark.covers("vcpu KVM_SET_MP_STATE", "cap MP_STATE")
def test_a_stopped_vcpu_runs_when_it_may(tiny: Tiny) -> None:
    machine = loaded(tiny, words.NOP)
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(14) == 1
    vcpu.set_mp_state(MpState.STOPPED)
    seen: list[Exit] = []
    with workers(lambda: seen.append(vcpu.run())):
        wait_until(lambda: is_asleep(vcpu) or bool(seen))
        vcpu.kick()
    assert seen == [Interrupted()]
    assert vcpu.get_one_reg("pc") == layout.IMAGE_GPA, "it did nothing"
    vcpu.set_mp_state(MpState.RUNNABLE)
    assert isinstance(vcpu.run(), SystemEvent)
    assert machine.report.done


@pytest.mark.covers("vcpu KVM_SET_MP_STATE", "vcpu KVM_GET_MP_STATE")
def test_a_stopped_vcpu_is_one_that_cpu_on_starts(tiny: Tiny) -> None:
    """PSCI refuses to start what runs already."""
    machine = tiny("psci", gic=0, cpus=2)
    second = machine.vcpus[1]
    assert second.get_mp_state() is MpState.STOPPED
    second.set_mp_state(MpState.RUNNABLE)
    assert second.get_mp_state() is MpState.RUNNABLE
    second.set_mp_state(MpState.STOPPED)
    machine.set_registers(arguments.psci(action="cpu_on", target_mpidr=1))
    with machine.running(cpu=1):
        machine.run()
    assert machine.report.results[0] == 0
    assert machine.reports[1].starts == 1


@pytest.mark.covers("event WAKEUP", "vcpu KVM_SET_MP_STATE")
def test_a_suspended_vcpu_wakes_for_an_interrupt(tiny: Tiny) -> None:
    machine = started(tiny)
    vcpu = machine.vcpus[0]
    with machine.running():
        ready(machine)
    vcpu.set_mp_state(MpState.SUSPENDED)
    seen: list[Exit] = []
    with workers(lambda: seen.append(vcpu.run())):
        wait_until(lambda: is_asleep(vcpu))
        machine.vm.irqfd(intid=INTID).inject()
    assert seen == [SystemEvent(SystemEventType.WAKEUP, ())]
    assert vcpu.run() == seen[0], "until it may run, it only tells"
    assert machine.report.taken(INTID) == 0
    vcpu.set_mp_state(MpState.RUNNABLE)
    with machine.running():
        assert arrives(machine, 1)


@pytest.mark.covers(
    "event SUSPEND", "enable ARM_SYSTEM_SUSPEND", "cap ARM_SYSTEM_SUSPEND", "exit SYSTEM_EVENT"
)
def test_a_guest_suspends_the_machine(tiny: Tiny) -> None:
    machine = loaded(tiny, words.hvc(), x=(SYSTEM_SUSPEND, layout.IMAGE_GPA, 7))
    assert machine.vm.check_extension(216) == 1
    machine.vm.enable_arm_system_suspend()
    vcpu = machine.vcpus[0]
    assert vcpu.run() == SystemEvent(SystemEventType.SUSPEND, ())
    assert [vcpu.get_one_reg(f"x{n}") for n in (1, 2)] == [layout.IMAGE_GPA, 7]
    vcpu.set_one_reg("x0", DENIED)
    assert isinstance(machine.run(), SystemEvent)
    assert outcome(machine).x[0] == DENIED


def test_unless_it_was_asked_for_a_guest_cannot_suspend_the_machine(tiny: Tiny) -> None:
    assert executed(tiny, words.hvc(), x=(SYSTEM_SUSPEND,)).x[0] == NOT_SUPPORTED
