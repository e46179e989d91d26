# SPDX-License-Identifier: Apache-2.0
"""Kicks against the run loop, while C, rings and Python handlers serve the guest."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pykvm import VM, Exit, Interrupted, Vcpu
from tests.kvm.machines import DOORBELL_GPA, IDLE, KNOCK, Guest, Machine
from tests.kvm.processes import PATIENCE
from tests.kvm.threads import Worker, wait_until, workers

Make = Callable[..., Machine]
Serve = Callable[[VM], object]

#: Who takes the stores of a guest that makes nothing else.
SERVED: dict[str, tuple[Guest, Serve]] = {
    "in C": (KNOCK, lambda vm: vm.mmio_counter(DOORBELL_GPA, 1)),
    "in Python": (KNOCK, lambda vm: vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: None)),
    "by a ring": (KNOCK, lambda vm: vm.mmio_ring(DOORBELL_GPA, 1, lambda *_: None, capacity=7)),
    "asleep": (IDLE, lambda vm: vm.mmio_counter(DOORBELL_GPA, 1)),
}
served = pytest.mark.parametrize(("guest", "serve"), SERVED.values(), ids=SERVED)


class Runner:
    """Runs a vCPU in a thread; every return is counted, and must be Interrupted."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._vcpu = vcpu
        self._taken = threading.Semaphore(0)
        self._last = False
        self.returns = 0
        self._worker = Worker(self._loop)

    def _loop(self) -> None:
        last = False
        while not last:
            exit: Exit = self._vcpu.run()
            assert exit == Interrupted(), exit
            last = self._last  # before the kicker hears of it, and perhaps stops
            self.returns += 1
            self._taken.release()

    def wait_for_one(self) -> None:
        assert self._taken.acquire(timeout=PATIENCE), "a kick was lost"

    def stop(self) -> None:
        self._last = True
        self._vcpu.kick()
        self._worker.join()


@served
def test_every_paced_kick_interrupts_once(
    machine: Make, guest: Guest, serve: Serve, kicks: int
) -> None:
    made = machine(guest)
    serve(made.vm)
    runner = Runner(made.vcpu)
    for _ in range(kicks):
        made.vcpu.kick()
        runner.wait_for_one()
    runner.stop()
    assert runner.returns == kicks + 1


@served
def test_bursts_from_four_threads(machine: Make, guest: Guest, serve: Serve, kicks: int) -> None:
    """Of each burst between one and all kicks come through, the last one too."""
    made = machine(guest)
    serve(made.vm)
    runner = Runner(made.vcpu)
    bursts, size = max(kicks // 500, 2), 25

    def kick() -> None:
        for _ in range(size):
            made.vcpu.kick()

    for _ in range(bursts):
        before = runner.returns
        with workers(*[kick] * 4):
            pass
        wait_until(lambda before=before: runner.returns > before)  # type: ignore[misc]
    runner.stop()
    assert bursts <= runner.returns <= 4 * size * bursts + 1
    made.vcpu.kick()
    assert made.vcpu.run() == Interrupted(), "nothing was left over, and the next one counts"


def test_before_the_first_run_and_within_a_handler(machine: Make) -> None:
    made = machine(KNOCK)
    calls = 0

    def write(*store: int) -> None:
        nonlocal calls
        calls += 1
        for _ in range(3):
            made.vcpu.kick()

    made.vm.mmio_handler(DOORBELL_GPA, 1, write=write)
    made.vcpu.kick()
    assert (made.vcpu.run(), calls) == (Interrupted(), 0)
    assert (made.vcpu.run(), calls) == (Interrupted(), 1)
    assert (made.vcpu.run(), calls) == (Interrupted(), 2)
