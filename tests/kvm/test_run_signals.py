# SPDX-License-Identifier: Apache-2.0
"""Signals at the worst moments of a run: none is slept through, and no exit is lost for one."""

from __future__ import annotations

import ctypes
import functools
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from pykvm import Exit, Interrupted, MmioRead, MmioWrite
from tests.kvm.machines import DOORBELL_GPA, ECHO, IDLE, KNOCK, SECOND_GPA, SPIN, Guest, Machine
from tests.kvm.processes import python

pytestmark = pytest.mark.binding

Make = Callable[..., Machine]

#: What programs are sent, and may handle.
COMMON = (
    "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGUSR1",
    "SIGUSR2", "SIGCHLD", "SIGCONT", "SIGWINCH", "SIGPIPE", "SIGIO",
)  # fmt: skip


class Hit(Exception):
    """What signal handlers raise here."""


@pytest.fixture
def handle() -> Iterator[Callable[[int, Callable[[], object]], None]]:
    """Gives signals a handler, and takes it away after the test."""
    before: dict[int, object] = {}

    def install(number: int, handler: Callable[[], object]) -> None:
        before[number] = signal.signal(number, lambda *_: handler())

    yield install
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, old in before.items():
        signal.signal(number, old)  # type: ignore[arg-type]


@pytest.mark.parametrize("guest", [IDLE, SPIN], ids=["asleep", "spinning"])
def test_a_single_alarm_is_not_slept_through(
    machine: Make, handle: Callable[..., None], guest: Guest
) -> None:
    """It may come when Python does not look any more and KVM_RUN is not yet inside."""
    vcpu = machine(guest).vcpu
    hits = 0

    def hit() -> None:
        nonlocal hits
        hits += 1
        vcpu.kick()

    handle(signal.SIGALRM, hit)
    for n in range(300):
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + n % 50 * 1e-6)
        assert vcpu.run() == Interrupted()
        assert hits == n + 1


def test_a_guest_that_is_served_in_c_all_the_time_can_be_interrupted(
    machine: Make, handle: Callable[..., None]
) -> None:
    made = machine(KNOCK)
    made.vm.mmio_ignore(DOORBELL_GPA, 1)
    handle(signal.SIGALRM, made.vcpu.kick)
    for _ in range(20):
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        assert made.vcpu.run() == Interrupted()


class Storm:
    """Common signals at random instants, one at a time; a handler raises where it is armed.

    One at a time, because pytest's faulthandler gives handlers a stack for no more than a few.
    """

    def __init__(self) -> None:
        self.armed = False
        self.hits = self._taken = self._sent = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def take(self) -> None:
        self._taken += 1
        if self.armed:
            self.armed = False
            self.hits += 1
            raise Hit

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _send(self) -> None:
        chance = random.Random(3)  # noqa: S311
        numbers = [getattr(signal, name) for name in COMMON]
        while not self._done.wait(chance.random() * 0.0005):
            if self._sent == self._taken:
                self._sent += 1
                os.kill(os.getpid(), chance.choice(numbers))

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Nothing is raised meanwhile."""
        armed, self.armed = self.armed, False
        yield
        self.armed = armed


@pytest.fixture
def storm(handle: Callable[..., None]) -> Iterator[Storm]:
    storm = Storm()
    for name in COMMON:
        handle(getattr(signal, name), storm.take)
    storm.start()
    yield storm
    storm.stop()


def test_common_signals_whose_handlers_raise_lose_no_exit(machine: Make, storm: Storm) -> None:
    """The guest loads, and stores what it loaded; run() returns both, whatever interrupts it."""
    vcpu = machine(ECHO).vcpu
    n = 0
    while n < 500 or storm.hits < 50:
        n += 1
        exits: list[Exit] = []
        while len(exits) < 2:
            with suppress(Hit):
                storm.armed = True
                exit = vcpu.run()
                storm.armed = False
                exits.append(exit)
                if exit == MmioRead(DOORBELL_GPA, 4):
                    vcpu.mmio_reply(n)
        assert exits == [MmioRead(DOORBELL_GPA, 4), MmioWrite(SECOND_GPA, n.to_bytes(4, "little"))]


def test_common_signals_whose_handlers_raise_lose_no_access(machine: Make, storm: Storm) -> None:
    """Served by handlers: a store comes once, a load is asked for until it is answered."""
    made = machine(ECHO)
    answers: list[int] = []
    stores: list[int] = []

    def read(offset: int, size: int) -> int:
        with storm.calm():
            answers.append(len(answers) + 1)
        return answers[-1]

    def write(offset: int, size: int, value: int) -> None:
        with storm.calm():
            stores.append(value)
            if len(stores) % 100 == 0:
                made.vcpu.kick()

    made.vm.mmio_handler(DOORBELL_GPA, 4, read=read)
    made.vm.mmio_handler(SECOND_GPA, 4, write=write)
    while len(stores) < 500 or storm.hits < 50:
        with suppress(Hit):
            storm.armed = True
            made.vcpu.run()
            storm.armed = False
    # Loads may have been asked for twice; what was stored is what was answered last, in order.
    assert stores == sorted(set(stores))
    assert set(stores) <= set(answers)
    assert len(answers) - len(stores) <= storm.hits + 1


@pytest.mark.parametrize("kernels", [False, True], ids=["own ring", "KVM's ring"])
@pytest.mark.parametrize("handled", [False, True], ids=["taken", "handled"])
def test_common_signals_whose_handlers_raise_lose_nothing_that_waits(
    machine: Make, storm: Storm, kernels: bool, handled: bool
) -> None:
    """The guest stores what it loaded, into a ring; all of that comes out once, in order."""
    made = machine(ECHO)
    # The C library's own, so that no signal's handler can raise in it; print() looks for signals.
    printed = os.memfd_create("stores")
    line = functools.partial(ctypes.CDLL(None).dprintf, printed, b"%d %d %d\n")
    handler = line if handled else None
    take: Callable[[], list[Any]] = list
    if kernels:
        made.vm.register_coalesced_mmio(SECOND_GPA, 4)
        take = made.vcpu.drain_coalesced_mmio
        if handler:
            made.vm.mmio_handler(SECOND_GPA, 4, write=handler)
    else:
        ring = made.vm.mmio_ring(SECOND_GPA, 4, handler)
        take = ring.take
    stores: list[int] = []
    n = 0
    while n < 500 or storm.hits < 200:
        with suppress(Hit):
            storm.armed = True
            exit = made.vcpu.run()
            storm.armed = False
            assert exit == MmioRead(DOORBELL_GPA, 4)
            made.vcpu.mmio_reply(n)
            n += 1
        if handled:
            continue
        with suppress(Hit):
            storm.armed = True
            taken: list[Any] = take()
            storm.armed = False
            stores += [store.value if kernels else store[2] for store in taken]
    os.lseek(printed, 0, os.SEEK_SET)
    with open(printed, encoding="ascii") as lines:
        stores += [int(line.split()[2]) for line in lines]
    assert stores == list(range(len(stores)))
    assert n - len(stores) in (0, 1, 2)


_CTRL_C = """
import os, signal, threading
from tests.kvm.machines import {guest}, Machine
from pykvm import VcpuThread
with Machine({guest}) as machine:
    soon = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    try:
        {run}
    except KeyboardInterrupt:
        print("interrupted")
    machine.vcpu.kick()
    print(machine.vcpu.run())
"""


@pytest.mark.parametrize("guest", ["IDLE", "SPIN"])
@pytest.mark.parametrize(
    "run",
    [
        "soon.start(); machine.vcpu.run()",
        "with VcpuThread(machine.vcpu) as it: soon.start(); it.join()",
    ],
    ids=["main thread", "other thread"],
)
def test_ctrl_c(guest: str, run: str) -> None:
    said = python(_CTRL_C.format(guest=guest, run=run))
    assert said.splitlines() == ["interrupted", "Interrupted(by='kick')"]


def test_the_tick_ends_when_nothing_runs_any_more() -> None:
    """After that, this process is woken by nothing that the application did not ask for."""
    said = python(
        "import signal, time\n"
        "from pykvm.kick import claim_kick_signal\n"
        "from tests.kvm.machines import SPIN, Machine\n"
        "with Machine(SPIN) as machine:\n"
        "    machine.vcpu.kick(); machine.vcpu.run()\n"
        "kick = claim_kick_signal()\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, [kick])\n"
        "time.sleep(1)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [kick])\n"
        "print(signal.sigtimedwait([kick], 0.5))\n"
    )
    assert said.split() == ["None"]


def test_runs_in_other_threads_start_no_tick() -> None:
    said = python(
        "import threading\n"
        "from tests.kvm.machines import SPIN, Machine\n"
        "with Machine(SPIN) as machine:\n"
        "    machine.vcpu.kick()\n"
        "    thread = threading.Thread(target=machine.vcpu.run); thread.start(); thread.join()\n"
        "    print(open('/proc/self/timers').read().count('ID:'))\n"
    )
    assert said.split() == ["0"]
