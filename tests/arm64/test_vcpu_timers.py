# SPDX-License-Identifier: Apache-2.0
"""Timers of a vCPU: the interrupts they raise, with a GIC in the kernel and without."""

from __future__ import annotations

import errno

import pytest
from guests import arguments, layout, words
from tally import wait_for
from tinyvm import vgic_frames

from pykvm import Cap, DeviceIrqLevel, Exit, Interrupted, SystemEvent, Vcpu, Vgic
from tests.arm64.conftest import PATIENCE, refused
from tests.arm64.execute import CODE_GPA, loaded
from tests.arm64.spis import Tiny

CNTV_CTL, CNTV_CVAL = (3, 3, 14, 3, 1), (3, 3, 14, 3, 2)
CNTP_CTL, CNTP_CVAL = (3, 3, 14, 2, 1), (3, 3, 14, 2, 2)
TIMERS = {"vtimer_irq": 27, "ptimer_irq": 30, "hvtimer_irq": 28, "hptimer_irq": 26}
TIMER_GROUP = 1


def _parameter(name: str) -> object:
    marks = [pytest.mark.needs("el2_timers")] if name.startswith("h") else []
    row = f"attr VCPU TIMER {name.removesuffix('_irq').upper()}"
    return pytest.param(name, id=name, marks=[*marks, pytest.mark.covers(row)])


each_timer = pytest.mark.parametrize("name", [_parameter(name) for name in TIMERS])


@each_timer
@pytest.mark.covers("vcpu KVM_GET_DEVICE_ATTR", "vcpu KVM_SET_DEVICE_ATTR")
def test_an_interrupt_is_read_as_it_was_set(name: str, vgic: Vgic, vcpu: Vcpu) -> None:
    assert getattr(vcpu, name) == TIMERS[name]
    setattr(vcpu, name, 20)
    assert getattr(vcpu, name) == 20


@pytest.mark.covers("attr VCPU TIMER VTIMER", "attr VCPU TIMER PTIMER")
def test_two_timers_need_two_interrupts(vgic: Vgic, vcpu: Vcpu) -> None:
    """The kernel finds out at the first run."""
    vcpu.vtimer_irq = 20
    vcpu.ptimer_irq = 20
    vgic_frames(vgic)
    vgic.init()
    vcpu.kick()  # a run that is not refused ends
    with refused(errno.EINVAL, "KVM_RUN"):
        vcpu.run()


@pytest.mark.parametrize(
    ("name", "physical"),
    [
        pytest.param("vtimer_irq", False, marks=pytest.mark.covers("attr VCPU TIMER VTIMER")),
        pytest.param("ptimer_irq", True, marks=pytest.mark.covers("attr VCPU TIMER PTIMER")),
    ],
)
@pytest.mark.covers("vcpu KVM_SET_DEVICE_ATTR", "cap VCPU_ATTRIBUTES")
def test_a_guest_takes_its_timer_where_it_was_moved_to(
    tiny: Tiny, name: str, physical: bool
) -> None:
    machine = tiny("timer")
    assert machine.vm.check_extension(Cap.VCPU_ATTRIBUTES) == 1
    setattr(machine.vcpus[0], name, 20)
    machine.set_registers(
        arguments.timer(
            gic_version=machine.gic_version, ticks=1000, count=2, intid=20, physical=physical
        )
    )
    with machine.running():
        assert wait_for(lambda: machine.report.done, 1, PATIENCE), machine.report.failure
    assert machine.report.taken(20) == 2
    assert not machine.report.spurious


def test_interrupts_of_timers_are_ppis_of_a_gic_and_fixed_once_it_ran(tiny: Tiny) -> None:
    vcpu = loaded(tiny, words.NOP).vcpus[0]
    with refused(errno.EINVAL, "KVM_SET_DEVICE_ATTR"):
        vcpu.vtimer_irq = 20
    machine = tiny("timer")
    vcpu = machine.vcpus[0]
    with refused(errno.EINVAL, "KVM_SET_DEVICE_ATTR"):
        vcpu.vtimer_irq = 32
    machine.set_registers(arguments.timer(gic_version=machine.gic_version, ticks=1000))
    machine.run()
    with refused(errno.EBUSY, "KVM_SET_DEVICE_ATTR"):
        vcpu.vtimer_irq = 20


@pytest.mark.covers("vcpu KVM_HAS_DEVICE_ATTR", "cap VCPU_ATTRIBUTES")
def test_a_vcpu_tells_which_attributes_it_has(vcpu: Vcpu) -> None:
    assert vcpu.has_device_attr(TIMER_GROUP, 0)
    assert not vcpu.has_device_attr(TIMER_GROUP, 99)
    assert not vcpu.has_device_attr(99, 0)


@pytest.mark.covers("exit INTR", "cap ARM_USER_IRQ")
@pytest.mark.parametrize(
    ("control", "compare", "line"),
    [(CNTV_CTL, CNTV_CVAL, DeviceIrqLevel(1)), (CNTP_CTL, CNTP_CVAL, DeviceIrqLevel(2))],
    ids=["virtual", "physical"],
)
def test_without_a_gic_a_timer_s_line_comes_to_the_program(
    tiny: Tiny, control: words.Sysreg, compare: words.Sysreg, line: DeviceIrqLevel
) -> None:
    machine = loaded(
        tiny, words.msr(compare, 0), words.msr(control, 1), words.ISB, words.SPIN,
        words.msr(control, 31), words.ISB, x=(0, 1),
    )  # fmt: skip
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.ARM_USER_IRQ) >= 1
    assert vcpu.device_irq_level == DeviceIrqLevel(0)
    assert vcpu.run() == Interrupted(by="line")
    assert vcpu.device_irq_level == line
    assert (line.vtimer, line.ptimer, line.pmu) == (line.bits == 1, line.bits == 2, False)
    vcpu.set_one_reg("pc", CODE_GPA + 16)
    exits: list[Exit] = [vcpu.run()]
    while not isinstance(exits[-1], SystemEvent):
        assert exits[-1] == Interrupted(by="line"), "it has fallen"
        exits.append(vcpu.run())
    assert vcpu.device_irq_level == DeviceIrqLevel(0)


@pytest.mark.covers("cap ARM_USER_IRQ")
@pytest.mark.parametrize("in_python", [False, True], ids=["in C", "in Python"])
def test_so_does_a_change_that_comes_with_an_access_that_is_served(
    tiny: Tiny, in_python: bool
) -> None:
    """KVM tells of it with that exit, and never again."""
    machine = loaded(
        tiny, words.msr(CNTV_CVAL, 0), words.msr(CNTV_CTL, 1), words.ISB, words.SPIN,
        words.msr(CNTV_CTL, 31), words.ISB, words.str_w(1, 2), x=(0, 1, layout.ECHO_GPA),
    )  # fmt: skip
    vcpu = machine.vcpus[0]
    stores: list[int] = []
    if in_python:
        machine.vm.mmio_handler(
            layout.ECHO_GPA, 4, write=lambda offset, size, value: stores.append(value)
        )
    else:
        machine.vm.mmio_ignore(layout.ECHO_GPA, 4)
    assert vcpu.run() == Interrupted(by="line")
    vcpu.set_one_reg("pc", CODE_GPA + 16)
    assert vcpu.run() == Interrupted(by="line"), "it has fallen"
    assert vcpu.device_irq_level == DeviceIrqLevel(0)
    while not isinstance(vcpu.run(), SystemEvent):
        assert vcpu.device_irq_level == DeviceIrqLevel(0)
    assert stores == [1] * in_python
