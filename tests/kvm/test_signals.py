# SPDX-License-Identifier: Apache-2.0
"""Signals that arrive during calls, and the signal that kicks use."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from pykvm import Cap, GuestMemory, Interrupted, Kvm, MmioWrite
from tests.kvm.footprint import unchanged
from tests.kvm.machines import (
    DOORBELL_GPA,
    ECHO,
    MEMORY_GPA,
    MEMORY_SIZE,
    SECOND_GPA,
    SPIN,
    Machine,
    prepare,
)
from tests.kvm.processes import python
from tests.kvm.threads import is_inside, wait_until, workers

pytestmark = pytest.mark.binding

Make = Callable[..., Machine]


def test_a_storm_changes_no_result(kvm: Kvm, alarms: Callable[..., None]) -> None:
    """Calls are tried again after handlers ran; creating a VM is one that signals interrupt."""
    calls = 0

    def handler() -> None:
        nonlocal calls
        calls += 1

    with unchanged():
        alarms(handler, 0.0005)
        rounds = 0
        while calls < 100 or rounds < 5:
            rounds += 1
            with GuestMemory(MEMORY_SIZE) as memory, kvm.create_vm() as vm:
                slot = vm.add_memory(MEMORY_GPA, memory)
                vcpu = vm.create_vcpu(0)
                prepare(vcpu)
                bell = vm.ioeventfd(DOORBELL_GPA, 4)
                assert vm.check_extension(Cap.IOEVENTFD) == 1
                vcpu.kick()
                assert vcpu.run() == Interrupted()
                for child in (bell.close, slot.close, vcpu.close):
                    child()


def test_a_storm_costs_the_guest_no_access(machine: Make, alarms: Callable[..., None]) -> None:
    vcpu = machine(ECHO).vcpu
    alarms(lambda: None, 0.0005)
    for number in range(2000):
        vcpu.run()
        vcpu.mmio_reply(number)
        assert vcpu.run() == MmioWrite(SECOND_GPA, number.to_bytes(4, "little"))


_FIRST = "import signal\nfrom pykvm import Kvm, set_kick_signal\n"
_USE = (
    "from tests.kvm.machines import SPIN, Machine\n"
    "with Machine(SPIN) as machine:\n machine.vcpu.kick(); print(machine.vcpu.run())\n"
)


def test_by_default_the_first_real_time_signal_that_nobody_uses() -> None:
    said = python(
        f"{_FIRST}signal.signal(signal.SIGRTMIN, lambda *_: print('mine'))\n"
        f"signal.signal(signal.SIGRTMIN + 1, signal.SIG_IGN)\n{_USE}"
        "import os; os.kill(os.getpid(), signal.SIGRTMIN + 2)\n"  # handled, or this would kill
        "os.kill(os.getpid(), signal.SIGRTMIN)\n"
    )
    assert said.split() == ["Interrupted(by='kick')", "mine"]


def test_one_of_ones_choice() -> None:
    said = python(
        f"{_FIRST}set_kick_signal(signal.SIGUSR2); set_kick_signal(signal.SIGUSR2)\n{_USE}"
        "import os; os.kill(os.getpid(), signal.SIGUSR2); print('alive')\n"
    )
    assert said.split() == ["Interrupted(by='kick')", "alive"]


_REFUSED = [
    ("signal.SIGKILL", "signal 9 cannot be used"),
    ("signal.SIGSTOP", "signal 19 cannot be used"),
    ("signal.SIGSEGV", "signal 11 cannot be used: .*reports faults"),
    ("signal.SIGINT", "signal 2 cannot be used: it has a handler"),
    ("signal.SIGPIPE", "signal 13 cannot be used: it has a handler, is ignored"),
    ("33", "signal 33 cannot be used"),  # the C library's own
    ("0", "signum is 0x0; it must be 0x1 to 0x40"),
    ("65", "signum is 0x41"),
    ("-1", "signum"),
    ("True", "signum must be an int, not bool"),
    ("'SIGUSR1'", "signum must be an int, not str"),
]


def _attempt(number: str) -> str:
    """Lines of a script that say in one line how this number was refused."""
    return (
        f"try:\n set_kick_signal({number}); print('taken')\n"
        "except (TypeError, ValueError) as e:\n print(type(e).__name__, e)\n"
    )


def test_signals_that_would_not_do() -> None:
    attempts = "".join(_attempt(number) for number, _ in _REFUSED)
    said = python(f"{_FIRST}{attempts}{_USE}").splitlines()
    for (number, words), line in zip(_REFUSED, said, strict=False):
        assert re.search(words, line), (number, line)
    assert said[len(_REFUSED) :] == ["Interrupted(by='kick')"]


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("set_kick_signal(signal.SIGUSR1)\n", "kicks use signal 10 already"),
        (_USE, "kicks use signal [0-9]+ already"),
    ],
    ids=["chosen", "used"],
)
def test_another_signal_once_there_is_one(before: str, words: str) -> None:
    said = python(f"{_FIRST}{before}{_attempt('signal.SIGUSR2')}{_USE}")
    assert re.search(words, said), said
    assert said.endswith("\nInterrupted(by='kick')\n")


def test_every_real_time_signal_is_taken() -> None:
    said = python(
        f"{_FIRST}"
        "for n in range(signal.SIGRTMIN, signal.SIGRTMAX + 1): signal.signal(n, lambda *_: 0)\n"
        "import os\n"
        "with Kvm() as kvm, kvm.create_vm() as vm:\n"
        " before = os.listdir('/proc/self/fd')\n"
        " try: vm.create_vcpu(0)\n"
        " except OSError as e: print(e)\n"
        " assert os.listdir('/proc/self/fd') == before\n"
        f"set_kick_signal(signal.SIGUSR1)\n{_USE}"
    )
    assert "Every real-time signal has a handler" in said
    assert said.endswith("Interrupted(by='kick')\n")


def test_a_thread_that_blocks_every_signal(machine: Make) -> None:
    """As programs do before they start threads, so that signals go to the main one."""
    vcpu = machine(SPIN).vcpu

    def run() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        assert vcpu.run() == Interrupted()

    with workers(run):
        wait_until(lambda: is_inside(vcpu))
        vcpu.kick()
