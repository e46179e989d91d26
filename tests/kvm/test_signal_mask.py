# SPDX-License-Identifier: Apache-2.0
"""Vcpu.set_signal_mask(): which signals reach a thread while its guest runs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from pykvm import Interrupted, MmioRead
from tests.kvm.machines import DOORBELL_GPA, ECHO, SPIN, Machine
from tests.kvm.threads import is_inside, wait_until, workers

Make = Callable[..., Machine]
LOADS = MmioRead(DOORBELL_GPA, 4)
SIGNAL = signal.SIGUSR1


@pytest.fixture
def waiting() -> Iterator[None]:
    """A signal waits that this thread blocks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})
    signal.raise_signal(SIGNAL)
    yield
    if SIGNAL in signal.sigpending():
        signal.sigwait({SIGNAL})
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.covers("vcpu KVM_SET_SIGNAL_MASK")
def test_a_mask_lets_in_what_the_thread_blocks(machine: Make, waiting: None) -> None:
    vcpu = machine(ECHO).vcpu
    vcpu.set_signal_mask([])
    assert vcpu.run() == Interrupted(by="signal")
    assert vcpu.run() == Interrupted(by="signal"), "the thread has not taken it"
    assert signal.sigwait({SIGNAL}) == SIGNAL
    assert vcpu.run() == LOADS


@pytest.mark.covers("vcpu KVM_SET_SIGNAL_MASK")
def test_a_mask_of_none_is_the_thread_s_own_again(machine: Make, waiting: None) -> None:
    vcpu = machine(ECHO).vcpu
    vcpu.set_signal_mask([])
    assert vcpu.run() == Interrupted(by="signal")
    vcpu.set_signal_mask([signal.SIGUSR2, SIGNAL])
    assert vcpu.run() == LOADS, "it blocks the signal too"
    vcpu.set_signal_mask([signal.SIGUSR2])
    assert vcpu.run() == Interrupted(by="signal")
    vcpu.set_signal_mask(None)
    assert vcpu.run() != Interrupted(by="signal")


def test_a_handler_runs_and_the_guest_goes_on(machine: Make, alarms: Callable[..., None]) -> None:
    """A signal that neither blocks is as without a mask."""
    vcpu = machine(SPIN).vcpu
    vcpu.set_signal_mask([SIGNAL])
    alarms(vcpu.kick, 0.01)
    assert vcpu.run() == Interrupted(by="kick")


def test_kicks_come_through_every_mask(machine: Make) -> None:
    vcpu = machine(SPIN).vcpu
    vcpu.set_signal_mask(range(1, 65))
    with workers(lambda: vcpu.run()):
        wait_until(lambda: is_inside(vcpu))
        vcpu.kick()
