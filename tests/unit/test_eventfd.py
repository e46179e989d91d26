# SPDX-License-Identifier: Apache-2.0
"""EventFd: counting, never blocking, adopting, and closing under other threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import threading
from functools import partial

import pytest

from pykvm import ClosedError, EventFd, KvmWouldBlockError
from pykvm.eventfd import fdinfo
from tests.kvm.footprint import unchanged
from tests.kvm.processes import PATIENCE, forked
from tests.kvm.threads import wait_until, workers

FULL = 2**64 - 2


def test_counting() -> None:
    with unchanged(), EventFd() as eventfd:
        assert eventfd.read() == 0
        eventfd.signal()
        eventfd.signal(41)
        assert eventfd.read() == 42
        assert eventfd.read() == 0


def test_a_count_to_start_with() -> None:
    with EventFd(2**32 - 1) as eventfd:
        assert eventfd.read() == 2**32 - 1


def test_a_full_counter() -> None:
    with EventFd() as eventfd:
        eventfd.signal(FULL)
        with pytest.raises(KvmWouldBlockError, match=r"eventfd write\(count=1\).*nobody reads it"):
            eventfd.signal()
        assert eventfd.read() == FULL
        eventfd.signal()
        assert eventfd.read() == 1


def test_the_descriptor() -> None:
    with EventFd() as eventfd:
        assert os.readlink(f"/proc/self/fd/{eventfd.fileno()}") == "anon_inode:[eventfd]"
        assert not os.get_inheritable(eventfd.fileno())
        assert not os.get_blocking(eventfd.fileno())
        assert repr(eventfd) == f"<EventFd fd {eventfd.fileno()}>"
    assert repr(eventfd) == "<EventFd closed>"


def test_with_selectors() -> None:
    with EventFd() as eventfd, selectors.DefaultSelector() as selector:
        selector.register(eventfd, selectors.EVENT_READ)
        assert selector.select(0) == []
        eventfd.signal()
        assert [key.fileobj for key, _ in selector.select(PATIENCE)] == [eventfd]


def test_waiting() -> None:
    with EventFd() as eventfd:
        assert eventfd.wait(0) == 0
        eventfd.signal(3)
        assert eventfd.wait() == 3
        eventfd.signal(4)
        assert eventfd.wait(0) == 4
        with workers(lambda: eventfd.signal(5)):
            assert eventfd.wait(PATIENCE) == 5


def _has(items: list[int], count: int) -> bool:
    return len(items) == count


def test_waiting_is_not_fooled_by_another_reader() -> None:
    """Woken, but somebody else was quicker: it waits on."""
    with EventFd() as eventfd:
        taken: list[int] = []
        with workers(*[lambda: taken.append(eventfd.wait(PATIENCE))] * 4):
            for expected in range(1, 5):
                eventfd.signal()
                wait_until(partial(_has, taken, expected))
    assert taken == [1, 1, 1, 1]


def test_close_ends_a_wait_in_another_thread() -> None:
    eventfd = EventFd()
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        with pytest.raises(ClosedError, match="this EventFd is closed"):
            eventfd.wait()

    def poll() -> None:
        waiting.set()
        with pytest.raises(ClosedError, match="this EventFd is closed"):
            eventfd.poll()

    with workers(wait, wait, poll):
        waiting.wait(PATIENCE)
        eventfd.close()


def test_poll_takes_nothing() -> None:
    with EventFd() as eventfd:
        assert not eventfd.poll(0)
        eventfd.signal(3)
        assert eventfd.poll()
        assert eventfd.poll(0)
        assert eventfd.read() == 3


def test_awaited() -> None:
    async def main() -> list[int]:
        with EventFd() as eventfd:
            eventfd.signal(5)
            await eventfd.readable()
            await eventfd.readable()
            found = [await eventfd]
            later = asyncio.get_running_loop().call_later(0.02, eventfd.signal, 7)
            found.append(await eventfd)
            assert not later.cancelled()
            return found

    with unchanged():
        assert asyncio.run(main()) == [5, 7]


def test_awaited_by_several_tasks() -> None:
    """Each signal is taken once, whoever waits."""

    async def take(eventfd: EventFd) -> int:
        return await eventfd

    async def main() -> None:
        with EventFd() as eventfd:
            tasks = [asyncio.create_task(take(eventfd)) for _ in range(3)]
            for _ in tasks:
                await asyncio.sleep(0.02)
                eventfd.signal()
                await asyncio.sleep(0.02)
            assert await asyncio.gather(*tasks) == [1, 1, 1]

    with unchanged():
        asyncio.run(main())


def test_a_wait_in_asyncio_ends_with_the_eventfd_or_the_task() -> None:
    async def main() -> None:
        eventfd = EventFd()
        closed, cancelled = (asyncio.create_task(eventfd.readable()) for _ in range(2))
        await asyncio.sleep(0.02)
        cancelled.cancel()
        eventfd.close()
        stranger = os.eventfd(1)  # gets the number
        with pytest.raises(ClosedError):
            await closed
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        os.close(stranger)

    with unchanged():
        asyncio.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_a_task_can_be_cancelled_at_any_moment(turns: int) -> None:
    """Also in the turn of the loop in which the signal comes."""

    async def take_all(eventfd: EventFd) -> None:
        while True:
            await eventfd

    async def main() -> None:
        with EventFd() as eventfd:
            task = asyncio.create_task(take_all(eventfd))
            await asyncio.sleep(0.02)
            eventfd.signal()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=PATIENCE)
            assert done
            assert task.cancelled()

    asyncio.run(main())


def test_adopt() -> None:
    with unchanged():
        theirs = os.eventfd(0, os.EFD_NONBLOCK)
        with EventFd.adopt(theirs) as ours:
            assert ours.fileno() != theirs
            assert not os.get_inheritable(ours.fileno())
            os.eventfd_write(theirs, 6)
            assert ours.read() == 6
        os.eventfd_write(theirs, 1)  # still theirs
        os.close(theirs)


def test_adopt_one_that_blocks() -> None:
    theirs = os.eventfd(0)
    with unchanged(), pytest.raises(ValueError) as caught:
        EventFd.adopt(theirs)
    os.close(theirs)
    assert f"eventfd {theirs} blocks" in str(caught.value)
    assert "os.EFD_NONBLOCK | os.EFD_CLOEXEC" in str(caught.value)


def test_adopt_a_semaphore() -> None:
    """Refused where the kernel tells that it is one (since Linux 6.5)."""
    theirs = os.eventfd(5, os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
    if "eventfd-semaphore" in fdinfo(theirs):
        with unchanged(), pytest.raises(ValueError, match="EFD_SEMAPHORE"):
            EventFd.adopt(theirs)
    os.close(theirs)


def test_adopt_what_is_none() -> None:
    reader, writer = os.pipe()
    for foreign in (reader, writer, 2**20):
        with unchanged(), pytest.raises(ValueError, match=r"no eventfd but pipe|is not open"):
            EventFd.adopt(foreign)
    os.close(reader)
    os.close(writer)


def test_semaphores() -> None:
    """The kernel tells since 6.5; an older one leaves the word out, and nobody can know."""
    semaphore = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
    with open(f"/proc/self/fdinfo/{semaphore}", encoding="ascii") as info:
        told = "eventfd-semaphore" in info.read()
    assert fdinfo(semaphore).get("eventfd-semaphore") == (1 if told else None)
    os.close(semaphore)
    with EventFd() as eventfd:
        assert not fdinfo(eventfd.fileno()).get("eventfd-semaphore")
    assert fdinfo(2**20) == {}


def test_after_close() -> None:
    with unchanged():
        eventfd = EventFd()
        kept = eventfd.signal, eventfd.read, eventfd.wait, eventfd.fileno
        eventfd.close()
        eventfd.close()
        assert eventfd.closed
        for call in kept:
            with pytest.raises(ClosedError, match="this EventFd is closed"):
                call()


def test_calls_kept_from_before_close_hit_no_stranger() -> None:
    eventfd = EventFd()
    number = eventfd.fileno()
    eventfd.close()
    stranger = os.eventfd(7, os.EFD_NONBLOCK)
    try:
        if stranger != number:
            os.dup2(stranger, number)
        for call in (eventfd.signal, eventfd.read, lambda: eventfd.wait(0)):
            with pytest.raises(ClosedError):
                call()
        assert os.eventfd_read(stranger) == 7
    finally:
        os.close(stranger)
        if stranger != number:
            os.close(number)


def test_close_races_with_every_call() -> None:
    """Numbers are reused at once: nothing may reach the stranger who has it next."""
    stranger = os.eventfd(0, os.EFD_NONBLOCK)
    for _ in range(50):
        eventfd = EventFd()
        number = eventfd.fileno()
        started = threading.Barrier(4)

        def use(eventfd: EventFd = eventfd, started: threading.Barrier = started) -> None:
            started.wait(PATIENCE)
            with contextlib.suppress(ClosedError):
                while True:
                    eventfd.signal()
                    eventfd.read()

        with workers(use, use, use):
            started.wait(PATIENCE)
            eventfd.close()
            os.dup2(stranger, number)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(stranger)
        os.close(number)
    os.close(stranger)


def test_closed_by_several_threads_at_once() -> None:
    with unchanged():
        for _ in range(50):
            eventfd = EventFd()
            with workers(*[eventfd.close] * 4):
                pass


def test_through_fork() -> None:
    """The counter is one; closing it in the child leaves the parent's open."""
    with EventFd() as eventfd:

        def child() -> None:
            eventfd.signal(9)
            eventfd.close()

        forked(child)
        assert eventfd.read() == 9


def test_fork_while_other_threads_signal() -> None:
    """The child's copy says that somebody is inside, for ever: its close() must not wait."""
    with EventFd() as eventfd:
        done = False

        def signal() -> None:
            while not done:
                eventfd.signal()
                eventfd.read()

        with workers(signal, signal):
            for _ in range(20):
                forked(eventfd.close)
            done = True
