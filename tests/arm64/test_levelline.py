# SPDX-License-Identifier: Apache-2.0
"""LevelLine, raced: work arrives while the guest serves, and none is lost or announced twice.

Each test is a slice of an endless run; ``make soak`` takes longer ones.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from guests import layout
from tally import wait_for
from tinyvm import TinyVm

from pykvm import ClosedError, Exit, LevelLine, MmioRead, MmioWrite
from tests.arm64.conftest import PATIENCE
from tests.arm64.spis import INTID, Tiny, ready, started
from tests.kvm.threads import workers

pytestmark = pytest.mark.binding


class Device:
    """It has work for the guest, which takes one piece for each interrupt.

    The guest asks for the amount and takes a piece by MMIO, from the vCPU's thread; ``submit``
    adds some from another one. ``idle`` counts interrupts that found nothing to do.
    """

    def __init__(self, machine: TinyVm, amount: int) -> None:
        self.machine = machine
        self.amount = amount
        self.lock = threading.Lock()
        self.work = 0
        self.done = 0
        self.idle = 0
        self.line = LevelLine(machine.vm.irqfd(intid=INTID, resample=True), lambda: self.work > 0)

    def submit(self, amount: int = 1) -> None:
        with self.lock:
            self.work += amount
        self.line.update()

    def serve(self, exit: Exit) -> None:
        """The handler of exits."""
        match exit:
            case MmioRead(gpa) if gpa == layout.device_status_gpa(INTID):
                self.idle += not self.work
                self.machine.vcpus[0].mmio_reply(self.work)
            case MmioWrite(layout.DEVICE_ACK_GPA):
                with self.lock:
                    self.work -= 1
                self.done += 1
            case other:
                raise AssertionError(f"the guest does what nobody expects: {other}")

    @contextmanager
    def served(self) -> Iterator[None]:
        """The guest runs while the block lasts; then all was done, each piece by one interrupt."""
        with self.machine.running(self.serve):
            ready(self.machine)
            yield
            assert wait_for(lambda: self.machine.report.ended(INTID), self.amount, PATIENCE)
        report = self.machine.report
        assert (self.work, self.done, self.idle) == (0, self.amount, 0)
        assert report.taken(INTID) == report.ended(INTID) == self.amount
        assert not report.spurious

    def submit_all(self) -> None:
        """Work in pieces and in heaps, as fast as it goes but never far ahead."""
        sent = 0
        while sent < self.amount:
            amount = min(1 + sent % 3, self.amount - sent)
            self.submit(amount)
            sent += amount
            self.wait_for(sent - 5)

    def wait_for(self, done: int) -> None:
        """Waits until so many pieces are done, as long as there is progress."""
        while (before := self.done) < done:
            assert wait_for(lambda: self.done, before + 1, PATIENCE), "the device is not served"


@pytest.fixture
def device(tiny: Tiny, interrupts: int) -> Device:
    machine = started(tiny, INTID, trigger="level", ack_device=True, read_status=True)
    return Device(machine, interrupts)


def finished(device: Device) -> Callable[[], bool]:
    return lambda: device.done >= device.amount and not device.line.up


def test_with_a_thread(device: Device) -> None:
    def hear() -> None:
        while not finished(device)():
            device.line.wait(1)

    with device.served(), workers(hear):
        device.submit_all()


def test_with_a_selector(device: Device) -> None:
    def hear() -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(device.line, selectors.EVENT_READ)
            while not finished(device)():
                for _ in selector.select(1):
                    device.line.ended()

    with device.served(), workers(hear):
        device.submit_all()


def test_with_asyncio(device: Device) -> None:
    async def hear() -> None:
        serving = asyncio.create_task(device.line.serve())
        while not finished(device)():
            await asyncio.sleep(0.01)
        serving.cancel()

    with device.served(), workers(lambda: asyncio.run(hear())):
        device.submit_all()


def test_several_submitters_and_listeners_that_are_too_many(device: Device) -> None:
    """The protocol holds from any thread; who finds nothing to hear just goes on."""
    share = device.amount // 4

    def hear() -> None:
        while not finished(device)():
            device.line.wait(0.05)

    def submit(amount: int) -> None:
        for _ in range(amount):
            device.submit()

    shares = [share, share, share, device.amount - 3 * share]
    bodies = [lambda amount=amount: submit(amount) for amount in shares]
    with device.served(), workers(hear, hear, *bodies):
        device.wait_for(device.amount)


def test_nothing_is_raised_that_nobody_wants(device: Device) -> None:
    device.line.update()
    assert not device.line.up
    assert device.line.ended() == 0
    device.submit()
    device.submit()
    assert device.line.up
    with device.machine.running(device.serve):
        ready(device.machine)
        for number in (1, 2):
            assert device.line.wait(PATIENCE) == 1
            assert device.line.up == (number == 1)
    assert (device.done, device.idle) == (2, 0)


def test_after_close(device: Device) -> None:
    device.line.irqfd.close()
    device.work = 1
    for call in (device.line.update, device.line.ended, device.line.wait, device.line.fileno):
        with pytest.raises(ClosedError):
            call()
    with pytest.raises(ClosedError):
        asyncio.run(device.line.serve())
    assert not device.line.up


def test_closing_ends_a_task_that_serves(device: Device) -> None:
    async def serve() -> None:
        task = asyncio.create_task(device.line.serve())
        await asyncio.sleep(0)
        device.line.irqfd.close()
        with pytest.raises(ClosedError):
            await task

    asyncio.run(serve())
