# SPDX-License-Identifier: Apache-2.0
"""Threads whose failures reach the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pykvm import Vcpu
from pykvm._native import lib
from tests.kvm.processes import PATIENCE


class Worker:
    """Runs ``body`` in a thread of its own."""

    def __init__(self, body: Callable[[], object]) -> None:
        self._body = body
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as failure:
            self._failure = failure

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def let_go_on(self) -> None:
        """Gives it a moment: it ends, or waits for something."""
        self._thread.join(0.005)

    def join(self) -> None:
        """Waits for the end, and raises what the body raised."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a thread hangs"
        if self._failure is not None:
            raise self._failure


class Gate:
    """Where one thread stops until another one opens."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._opened = threading.Event()

    def arrive(self) -> None:
        self._arrived.set()

    def pass_through(self) -> None:
        self.arrive()
        assert self._opened.wait(PATIENCE), "nobody opened"

    def wait(self) -> None:
        """Returns when a thread stands before the gate."""
        assert self._arrived.wait(PATIENCE), "nobody came"

    def open(self) -> None:
        self._opened.set()


@contextmanager
def workers(*bodies: Callable[[], object]) -> Iterator[list[Worker]]:
    """Runs all of them while the block lasts, and waits for them at its end."""
    running = [Worker(body) for body in bodies]
    yield running
    for worker in running:
        worker.join()


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for something that no event tells."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.0005)


def is_inside(vcpu: Vcpu) -> bool:
    """Whether a thread is between entering and leaving KVM_RUN."""
    return bool(lib.vcpu_thread(vcpu._context) > 0)


def is_asleep(vcpu: Vcpu) -> bool:
    """Whether a thread waits inside KVM_RUN, and the guest does not run."""
    thread = lib.vcpu_thread(vcpu._context)
    if thread <= 0:
        return False
    stat = Path(f"/proc/self/task/{thread}/stat").read_text(encoding="utf-8")
    return stat.rpartition(")")[2].split()[0] == "S"
