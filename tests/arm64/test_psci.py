# SPDX-License-Identifier: Apache-2.0
"""System events: what a guest's power-management calls ask of the host."""

from __future__ import annotations

import pytest
from guests import words

from pykvm import Cap, Interrupted, MmioRead, MpState, SystemEvent, SystemEventType, VcpuFeature
from tests.arm64.execute import loaded
from tests.arm64.spis import Tiny

SYSTEM_OFF, SYSTEM_OFF2 = 0x8400_0008, 0xC400_0015
SYSTEM_RESET, SYSTEM_RESET2 = 0x8400_0009, 0xC400_0012
HIBERNATE = 1
SHUTDOWN, RESET = SystemEventType.SHUTDOWN, SystemEventType.RESET


@pytest.mark.parametrize(
    ("call", "argument", "event"),
    [
        pytest.param(
            SYSTEM_OFF, 0, SystemEvent(SHUTDOWN, (0,)), marks=pytest.mark.covers("event SHUTDOWN")
        ),
        pytest.param(
            SYSTEM_OFF2, HIBERNATE, SystemEvent(SHUTDOWN, (1,)),
            marks=[pytest.mark.covers("event SHUTDOWN"), pytest.mark.needs("psci_1_3")],
        ),
        pytest.param(
            SYSTEM_RESET, 0, SystemEvent(RESET, (0,)), marks=pytest.mark.covers("event RESET")
        ),
        pytest.param(
            SYSTEM_RESET2, 0, SystemEvent(RESET, (1,)), marks=pytest.mark.covers("event RESET")
        ),
    ],
)  # fmt: skip
@pytest.mark.covers("exit SYSTEM_EVENT", "cap SYSTEM_EVENT_DATA", "vcpu KVM_RUN")
def test_an_event_tells_which_call_was_made(
    tiny: Tiny, call: int, argument: int, event: SystemEvent
) -> None:
    machine = loaded(tiny, words.hvc(), x=(call, argument))
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.SYSTEM_EVENT_DATA) == 1
    told = vcpu.run()
    assert told == event
    assert isinstance(told, SystemEvent)
    assert told.is_newer_call == bool(event.data[0])
    assert vcpu.get_mp_state() is MpState.STOPPED
    vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
    assert vcpu.get_mp_state() is MpState.RUNNABLE


@pytest.mark.covers("cap IMMEDIATE_EXIT", "exit MMIO")
def test_a_run_that_is_ended_at_once_completes_a_load_and_nothing_more(tiny: Tiny) -> None:
    machine = loaded(tiny, words.ldr(0, 1), words.ldr(2, 1), x=(0, 0x0A00_0000))
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.IMMEDIATE_EXIT) == 1
    assert vcpu.run() == MmioRead(0x0A00_0000, 8)
    pc = vcpu.get_one_reg("pc")
    vcpu.mmio_reply(77)
    with vcpu.kvm_run as page:
        vcpu.kick()
        assert page[1] == 1
        assert vcpu.run() == Interrupted()
        assert page[1] == 0
    assert (vcpu.get_one_reg("x0"), vcpu.get_one_reg("pc")) == (77, pc + 4)
    assert vcpu.run() == MmioRead(0x0A00_0000, 8)
