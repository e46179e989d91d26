# SPDX-License-Identifier: Apache-2.0
"""What the tests of this tier start from."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pykvm import VM, GuestMemory, Kvm
from tests.kvm.machines import MEMORY_SIZE, Guest, Machine, wire


@pytest.fixture
def kvm() -> Iterator[Kvm]:
    with Kvm() as kvm:
        yield kvm


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    """64 KiB."""
    with GuestMemory(MEMORY_SIZE) as memory:
        yield memory


@pytest.fixture
def vm(kvm: Kvm, memory: GuestMemory) -> Iterator[VM]:
    """An empty VM. It ends before ``memory``, which its slots may hold."""
    with kvm.create_vm() as vm:
        yield vm


@pytest.fixture
def wired(vm: VM) -> VM:
    """A VM with an interrupt controller that takes irqfds."""
    wire(vm)
    return vm


@pytest.fixture
def machine() -> Iterator[Callable[..., Machine]]:
    """Makes machines with a tiny guest, and ends them after the test."""
    with ExitStack() as stack:

        def make(guest: Guest, **options: Any) -> Machine:
            return stack.enter_context(Machine(guest, **options))

        yield make


@pytest.fixture
def alarms() -> Iterator[Callable[..., None]]:
    """Lets a function run as a signal handler, again and again until the test ends."""
    before = signal.getsignal(signal.SIGALRM)

    def start(handler: Callable[[], object], seconds: float = 0.01) -> None:
        signal.signal(signal.SIGALRM, lambda *_: handler())
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
