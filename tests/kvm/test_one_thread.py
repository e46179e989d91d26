# SPDX-License-Identifier: Apache-2.0
"""Two threads in one vCPU: one of them is refused, and no exit is lost or told twice.

Where there is a GIL, a flag sees to that, between whose test and setting no other thread comes. The
free-threaded interpreter's way (``claimed``) is tried here on any.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import product
from types import FunctionType

import pytest

from pykvm import Exit, Interrupted, KvmBusyError, MmioRead, MmioWrite, Vcpu
from pykvm.vcpurun import VcpuRun, claimed
from tests.kvm.machines import DOORBELL_GPA, ECHO, KNOCK, SECOND_GPA, Machine
from tests.kvm.steps import Stepped
from tests.kvm.threads import workers

pytestmark = pytest.mark.binding

Make = Callable[..., Machine]
Run = Callable[[Vcpu], Exit]

_LOAD, _STORE = MmioRead(DOORBELL_GPA, 4), MmioWrite(SECOND_GPA, bytes(4))
#: run() as it is where there is a GIL, and what is around it where there is none.
_plain: Run = getattr(VcpuRun.run, "__wrapped__", VcpuRun.run)
_alone: Run = claimed("KVM_RUN")(_plain)
_CODES = {run.__code__ for run in (_plain, _alone) if isinstance(run, FunctionType)}


class Pair:
    """Two threads that call run() of a vCPU whose exits are a load, a store, a load, …"""

    def __init__(self, vcpu: Vcpu, run: Run) -> None:
        self._vcpu = vcpu
        self._run = run
        self._next = [_LOAD, _STORE]
        self._told: list[Exit] = []
        self.refused = 0

    def _call(self) -> None:
        try:
            self._told.append(self._run(self._vcpu))
        except KvmBusyError:
            self.refused += 1

    def steps(self) -> int:
        """Bytecodes of one call."""
        alone = Stepped(self._call, _CODES)
        alone.finish()
        assert self.is_sound()
        return alone.steps

    def play(self, first: int, second: int) -> None:
        """Each up to a bytecode; then the one to its end, then the other."""
        one = Stepped(self._call, _CODES, first)
        other = Stepped(self._call, _CODES, second)
        one.finish()
        other.finish()

    def is_sound(self) -> bool:
        """Whether those exits were told that were due, and are no longer."""
        told, self._told = self._told, []
        due = [self._next[n % 2] for n in range(len(told))]
        if len(told) % 2:
            self._next.reverse()
        return bool(told) and sorted(map(repr, told)) == sorted(map(repr, due))


def _schedules(steps: int, most: int) -> list[tuple[int, int]]:
    """So many orders of two calls, the same ones each time."""
    places = range(1, steps + 1)
    every = list(product(places, places))
    return random.Random(1).sample(every, min(most, len(every)))  # noqa: S311


def test_any_order_of_two_threads_is_sound(machine: Make, kicks: int) -> None:
    pair = Pair(machine(ECHO).vcpu, _alone)
    for first, second in _schedules(pair.steps(), kicks // 4):
        pair.play(first, second)
        assert pair.is_sound(), (first, second)
    assert pair.refused


def test_the_flag_alone_is_not(machine: Make) -> None:
    """So these orders would show it: the plain run() needs the GIL."""
    pair = Pair(machine(ECHO).vcpu, _plain)
    for first, second in _schedules(pair.steps(), 10_000):
        pair.play(first, second)
        if not pair.is_sound():
            return
    pytest.fail("no order of bytecodes broke it")


@pytest.fixture(params=["as it is", "claimed"])
def run(request: pytest.FixtureRequest) -> Run:
    return Vcpu.run if request.param == "as it is" else _alone


def test_two_threads_fight_for_one_vcpu(machine: Make, run: Run, kicks: int) -> None:
    vcpu = machine(ECHO).vcpu
    told: list[Exit] = []
    refused: list[KvmBusyError] = []
    both = threading.Barrier(2)

    def fight() -> None:
        both.wait()
        for _ in range(4 * kicks):
            try:
                told.append(run(vcpu))
            except KvmBusyError as refusal:
                refused.append(refusal)

    with workers(fight, fight):
        pass
    assert len(told) + len(refused) == 8 * kicks
    loads, stores = told.count(_LOAD), told.count(_STORE)
    assert loads + stores == len(told)
    assert loads - stores in (0, 1)
    assert run(vcpu) == (_STORE if loads > stores else _LOAD)


def test_a_fight_while_ranges_come_and_go_and_kicks_fly(
    machine: Make, run: Run, kicks: int
) -> None:
    """At no time are two threads in the handlers of one vCPU."""
    made = machine(KNOCK)
    inside: list[int] = []
    crowds: list[int] = []
    ended: list[None] = []

    def store(*_: int) -> None:
        inside.append(1)
        if len(inside) > 1:
            crowds.append(len(inside))
        inside.pop()

    def fight() -> None:
        for _ in range(kicks):
            try:
                exit = run(made.vcpu)
            except KvmBusyError:
                continue
            assert exit in (Interrupted(), MmioWrite(DOORBELL_GPA, b"\x2a")), exit
        ended.append(None)

    def change() -> None:
        while len(ended) < 2:
            made.vm.mmio_handler(DOORBELL_GPA, 1, write=store).close()
            made.vm.mmio_ring(DOORBELL_GPA, 1, store, capacity=3).close()

    def kick() -> None:
        while len(ended) < 2:
            made.vcpu.kick()

    with workers(fight, fight, change, kick):
        pass
    assert not crowds
    assert made.vm._core.bus.queues == []
    made.vcpu.kick()
    assert made.vcpu.run() in (Interrupted(), MmioWrite(DOORBELL_GPA, b"\x2a"))
