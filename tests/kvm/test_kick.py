# SPDX-License-Identifier: Apache-2.0
"""The kick protocol: the run under way, or else the next one, is interrupted once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pykvm import ClosedError, Exit, Interrupted, MmioWrite, Vcpu
from tests.kvm.machines import DOORBELL_GPA, IDLE, KNOCK, SPIN, STORE, VALUE, Guest, Machine
from tests.kvm.processes import PATIENCE, python
from tests.kvm.threads import Worker, is_inside, wait_until, workers

Make = Callable[..., Machine]
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))


class Runner:
    """Runs a vCPU in a thread, and counts how often it was interrupted."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._vcpu = vcpu
        self._stopping = False
        self._taken = threading.Semaphore(0)
        self.interrupted = 0
        self.exits: list[Exit] = []
        self._worker = Worker(self._loop)

    def _loop(self) -> None:
        while True:
            exit = self._vcpu.run()
            if isinstance(exit, Interrupted):
                last = self._stopping  # before the kicker hears of it, and perhaps stops
                self.interrupted += 1
                self._taken.release()
                if last:
                    return
            elif len(self.exits) < 10:
                self.exits.append(exit)

    def wait_for_one(self) -> None:
        """Returns when a kick was taken that nobody waited for yet."""
        assert self._taken.acquire(timeout=PATIENCE), "a kick was lost"

    def stop(self) -> None:
        self._stopping = True
        self._vcpu.kick()
        self._worker.join()


@pytest.mark.parametrize("guest", [SPIN, IDLE], ids=["spinning", "waiting"])
def test_every_paced_kick_interrupts_once(machine: Make, guest: Guest, kicks: int) -> None:
    vcpu = machine(guest).vcpu
    runner = Runner(vcpu)
    for number in range(kicks):
        if number % 50 == 0:  # most kicks come between two runs: let some find the guest running
            wait_until(lambda: is_inside(vcpu))
        vcpu.kick()
        runner.wait_for_one()
    runner.stop()
    assert (runner.interrupted, runner.exits) == (kicks + 1, [])


def test_a_kick_that_races_with_an_exit_is_kept(machine: Make, kicks: int) -> None:
    """This guest leaves the kernel all the time, so kicks meet every moment of an exit."""
    runner = Runner(machine(KNOCK).vcpu)
    vcpu = runner._vcpu
    for _ in range(kicks):
        vcpu.kick()
        runner.wait_for_one()
    runner.stop()
    assert runner.interrupted == kicks + 1
    assert set(runner.exits) == {KNOCKED}


def test_a_kick_before_the_first_run_is_kept(machine: Make) -> None:
    vcpu = machine(STORE).vcpu
    vcpu.kick()
    assert vcpu.run() == Interrupted()
    assert vcpu.run() == KNOCKED


def test_a_kick_between_runs_is_kept(machine: Make) -> None:
    vcpu = machine(KNOCK).vcpu
    assert vcpu.run() == KNOCKED
    vcpu.kick()
    assert [vcpu.run(), vcpu.run()] == [Interrupted(), KNOCKED]


def test_kicks_before_a_run_are_one(machine: Make) -> None:
    vcpu = machine(KNOCK).vcpu
    for _ in range(100):
        vcpu.kick()
    assert [vcpu.run(), vcpu.run()] == [Interrupted(), KNOCKED]


def test_a_kick_does_not_cost_the_guest_an_access(machine: Make) -> None:
    """Kicked at any point, the guest still does its two stores, each once and in order."""
    vcpu = machine(STORE).vcpu
    seen: list[Exit] = []
    while len(seen) < 2:
        vcpu.kick()
        assert vcpu.run() == Interrupted()
        seen.append(vcpu.run())
    assert [exit.gpa for exit in seen if isinstance(exit, MmioWrite)] == [0x1000, 0x1100]


def test_kicks_from_several_threads(machine: Make) -> None:
    vcpu = machine(KNOCK).vcpu
    runner = Runner(vcpu)

    def kick() -> None:
        for _ in range(300):
            vcpu.kick()

    with workers(*[kick] * 4):
        pass
    runner.wait_for_one()
    runner.stop()
    assert 2 <= runner.interrupted <= 1201
    # Nothing is left over: the guest goes on as if nobody had kicked.
    vcpu.kick()
    assert vcpu.run() == Interrupted()
    assert vcpu.run() == KNOCKED


def test_a_kick_from_a_signal_handler(machine: Make, alarms: Callable[..., None]) -> None:
    vcpu = machine(SPIN).vcpu
    alarms(vcpu.kick)
    assert vcpu.run() == Interrupted()


def test_kick_and_run_after_close(machine: Make) -> None:
    vcpu = machine(SPIN).vcpu
    kick, run = vcpu.kick, vcpu.run
    vcpu.close()
    for call, name in (kick, "kick"), (run, "KVM_RUN"):
        with pytest.raises(ClosedError, match=f"{name}.*Vcpu 0 is closed"):
            call()


def test_where_no_signal_can_be_queued_each_kick_says_so() -> None:
    """None is taken for one that is on its way already."""
    said = python(
        "import resource, threading\n"
        "from pykvm import KvmWouldBlockError\n"
        "from tests.kvm.machines import IDLE, Machine\n"
        "from tests.kvm.threads import is_inside, wait_until\n"
        "limit, hard = resource.RLIMIT_SIGPENDING, resource.getrlimit(resource.RLIMIT_SIGPENDING)\n"
        "with Machine(IDLE) as machine:\n"
        "    thread = threading.Thread(target=lambda: print(machine.vcpu.run()))\n"
        "    thread.start()\n"
        "    wait_until(lambda: is_inside(machine.vcpu))\n"
        "    resource.setrlimit(limit, (0, hard[1]))\n"
        "    for _ in range(2):\n"
        "        try:\n"
        "            machine.vcpu.kick()\n"
        "        except KvmWouldBlockError as refusal:\n"
        "            print(refusal)\n"
        "    resource.setrlimit(limit, hard)\n"
        "    machine.vcpu.kick()\n"
        "    thread.join()\n"
    )
    *refusals, last = said.splitlines()
    assert len(refusals) == 2
    assert all("RLIMIT_SIGPENDING" in refusal for refusal in refusals), said
    assert last == "Interrupted(by='kick')"
