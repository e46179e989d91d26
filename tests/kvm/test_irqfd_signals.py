# SPDX-License-Identifier: Apache-2.0
"""Handlers of signals that raise, as Ctrl-C does, in the middle of what irqfds do."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator

import pytest

from pykvm import VM, EventFd, LevelLine

pytestmark = pytest.mark.binding

ROUNDS = 500


class Stop(Exception):
    """What the handler raises."""


@pytest.fixture
def interrupted() -> Iterator[Callable[[Callable[[], object]], bool]]:
    """Makes a call, into which a signal comes at some moment, or just misses it."""
    armed = False

    def handler(*_: object) -> None:
        if armed:
            raise Stop

    def call(body: Callable[[], object]) -> bool:
        nonlocal armed
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 150e-6))  # noqa: S311
            try:
                body()
            finally:
                armed = False
        except Stop:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return False

    before = signal.signal(signal.SIGALRM, handler)
    yield call
    signal.signal(signal.SIGALRM, before)


def test_a_close_that_was_interrupted_can_be_done_again(
    wired: VM, interrupted: Callable[[Callable[[], object]], bool]
) -> None:
    for _ in range(ROUNDS):
        with EventFd() as ours:
            irqfd = wired.irqfd(gsi=8, eventfd=ours, resample=True)
            interrupted(irqfd.close)
            irqfd.close()
            assert irqfd.closed
            assert irqfd.trigger.closed
            ours.signal()
            assert ours.read() == 1  # KVM did not take it


def test_a_line_is_not_up_for_ever(
    wired: VM, interrupted: Callable[[Callable[[], object]], bool]
) -> None:
    wants = True
    irqfd = wired.irqfd(gsi=8, resample=True)
    line = LevelLine(irqfd, lambda: wants)
    assert irqfd.resample is not None
    for _ in range(ROUNDS):
        wants = True
        interrupted(line.update)
        line.update()
        assert line.up
        wants = False
        irqfd.resample.signal()  # as the guest's end does
        interrupted(line.ended)
        line.ended()
        assert not line.up
