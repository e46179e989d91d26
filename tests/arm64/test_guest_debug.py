# SPDX-License-Identifier: Apache-2.0
"""Breakpoints, watchpoints and single steps, set from outside the guest."""

from __future__ import annotations

import errno

import pytest
from guests import layout, words

from pykvm import VM as Vm
from pykvm import (
    Breakpoint,
    Cap,
    Debug,
    DebugCause,
    DebugRegisters,
    GuestDebugControl,
    SystemEvent,
    Vcpu,
    Watchpoint,
)
from tests.arm64.conftest import refused
from tests.arm64.execute import CODE_GPA, finished, loaded
from tests.arm64.spis import Tiny

DATA_GPA = CODE_GPA + 0x1000
STORES = (words.NOP, words.str_(0, 1), words.ldr(2, 1), words.str_(0, 1, 16))


def stopped(vcpu: Vcpu, cause: DebugCause) -> tuple[Debug, int]:
    """Runs until debugging stops the guest for that reason; the exit, and where it is."""
    exit = vcpu.run()
    assert isinstance(exit, Debug), exit
    assert exit.cause is cause, hex(exit.esr)
    return exit, vcpu.get_one_reg("pc") - CODE_GPA


@pytest.mark.covers("vcpu KVM_SET_GUEST_DEBUG", "exit DEBUG", "cap SET_GUEST_DEBUG")
def test_a_software_breakpoint_stops_the_guest(tiny: Tiny) -> None:
    machine = loaded(tiny, words.NOP, words.brk(5), words.mov(0, 1), x=(7, 9))
    vcpu = machine.vcpus[0]
    assert machine.vm.check_extension(Cap.SET_GUEST_DEBUG) == 1
    vcpu.set_guest_debug(GuestDebugControl.USE_SW_BP)
    exit, where = stopped(vcpu, DebugCause.BRK)
    assert (where, exit.comment) == (4, 5)
    vcpu.set_one_reg("pc", CODE_GPA + 8)
    there = finished(machine)
    assert (there.exceptions, there.x[0]) == (0, 9), "the guest saw nothing of it"


@pytest.mark.covers("vcpu KVM_SET_GUEST_DEBUG")
def test_without_debugging_the_guest_takes_its_own_breakpoints(tiny: Tiny) -> None:
    machine = loaded(tiny, words.NOP, words.brk(5), words.brk(6))
    vcpu = machine.vcpus[0]
    vcpu.set_guest_debug(GuestDebugControl.USE_SW_BP)
    assert stopped(vcpu, DebugCause.BRK)[1] == 4
    vcpu.set_guest_debug()
    assert finished(machine).exceptions == 2


@pytest.mark.covers("vcpu KVM_SET_GUEST_DEBUG", "exit DEBUG")
def test_a_hardware_breakpoint_stops_before_its_instruction(tiny: Tiny) -> None:
    machine = loaded(tiny, words.NOP, words.mov(0, 1), words.mov(1, 2), x=(7, 9, 11))
    vcpu = machine.vcpus[0]
    vcpu.set_guest_debug(breakpoints=[Breakpoint(CODE_GPA + 8)])
    for _ in range(2):
        assert stopped(vcpu, DebugCause.BREAKPOINT)[1] == 8
    assert [vcpu.get_one_reg(f"x{n}") for n in (0, 1)] == [9, 9]
    vcpu.set_guest_debug()
    assert finished(machine).x[:2] == (9, 11)


@pytest.mark.covers("vcpu KVM_SET_GUEST_DEBUG", "exit DEBUG")
@pytest.mark.parametrize(
    ("point", "where", "far"),
    [
        (Watchpoint(DATA_GPA), 4, DATA_GPA),
        (Watchpoint(DATA_GPA, read=False), 4, DATA_GPA),
        (Watchpoint(DATA_GPA, write=False), 8, DATA_GPA),
        (Watchpoint(DATA_GPA + 20, 2), 12, DATA_GPA + 16),
        (Watchpoint(DATA_GPA, 1 << 12), 4, DATA_GPA),
        (DebugRegisters(0xFF << 5 | 2 << 3 | 3 << 1 | 1, DATA_GPA + 16), 12, DATA_GPA + 16),
    ],
)
def test_a_watchpoint_stops_at_its_access(
    tiny: Tiny, point: Watchpoint | DebugRegisters, where: int, far: int
) -> None:
    machine = loaded(tiny, *STORES, x=(7, DATA_GPA, 5))
    vcpu = machine.vcpus[0]
    vcpu.set_guest_debug(watchpoints=[point])
    exit, at = stopped(vcpu, DebugCause.WATCHPOINT)
    assert at == where
    assert far <= exit.far < far + 8
    vcpu.set_guest_debug()
    assert finished(machine).x[2] == 7


@pytest.mark.covers("vcpu KVM_SET_GUEST_DEBUG", "exit DEBUG")
def test_single_steps(tiny: Tiny) -> None:
    machine = loaded(tiny, *[words.mov(1, 0)] * 3, x=(7, 0))
    vcpu = machine.vcpus[0]
    vcpu.set_guest_debug(breakpoints=[Breakpoint(CODE_GPA)])
    stopped(vcpu, DebugCause.BREAKPOINT)
    vcpu.set_guest_debug(GuestDebugControl.SINGLESTEP)
    assert [stopped(vcpu, DebugCause.SINGLE_STEP)[1] for _ in range(3)] == [4, 8, 12]
    vcpu.set_guest_debug()
    assert finished(machine).x[1] == 7


@pytest.mark.covers("cap GUEST_DEBUG_HW_BPS")
def test_there_are_as_many_breakpoints_as_promised(tiny: Tiny) -> None:
    machine = loaded(tiny, words.NOP, words.NOP)
    vcpu = machine.vcpus[0]
    count = machine.vm.check_extension(Cap.GUEST_DEBUG_HW_BPS)
    elsewhere = [Breakpoint(layout.REPORT_GPA + 4 * n) for n in range(count)]
    vcpu.set_guest_debug(breakpoints=[*elsewhere[1:], Breakpoint(CODE_GPA + 4)])
    assert stopped(vcpu, DebugCause.BREAKPOINT)[1] == 4
    with pytest.raises(ValueError, match=f"{count + 1} breakpoints, but this host has {count}"):
        vcpu.set_guest_debug(breakpoints=[*elsewhere, Breakpoint(CODE_GPA)])


@pytest.mark.covers("cap GUEST_DEBUG_HW_WPS")
def test_there_are_as_many_watchpoints_as_promised(tiny: Tiny) -> None:
    machine = loaded(tiny, *STORES, x=(7, DATA_GPA))
    vcpu = machine.vcpus[0]
    count = machine.vm.check_extension(Cap.GUEST_DEBUG_HW_WPS)
    elsewhere = [Watchpoint(CODE_GPA + 0x2000 + 8 * n) for n in range(count)]
    vcpu.set_guest_debug(watchpoints=[*elsewhere[1:], Watchpoint(DATA_GPA)])
    assert stopped(vcpu, DebugCause.WATCHPOINT)[1] == 4
    with pytest.raises(ValueError, match=f"{count + 1} watchpoints, but this host has {count}"):
        vcpu.set_guest_debug(watchpoints=[*elsewhere, Watchpoint(DATA_GPA)])


@pytest.mark.covers("cap SET_GUEST_DEBUG2")
def test_the_bits_that_are_valid_are_taken_and_others_refused(vm: Vm, vcpu: Vcpu) -> None:
    valid = vm.check_extension(Cap.SET_GUEST_DEBUG2)
    assert valid & sum(GuestDebugControl) == sum(GuestDebugControl)
    for bit in range(32):
        if valid >> bit & 1:
            vcpu.set_guest_debug(1 << bit)
        else:
            with refused(errno.EINVAL, "KVM_SET_GUEST_DEBUG"):
                vcpu.set_guest_debug(1 << bit)
    vcpu.set_guest_debug()


def test_the_guest_goes_on_where_it_was_debugged(tiny: Tiny) -> None:
    machine = loaded(tiny, words.NOP)
    vcpu = machine.vcpus[0]
    vcpu.set_guest_debug(GuestDebugControl.SINGLESTEP)
    for _ in range(5):
        assert isinstance(vcpu.run(), Debug)
    vcpu.set_guest_debug()
    assert isinstance(machine.run(), SystemEvent)
