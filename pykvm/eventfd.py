# SPDX-License-Identifier: Apache-2.0
"""Eventfds: the counters by which a device model and KVM wake each other."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any, Self

from pykvm._descriptor import Closing, HasFileno, check_int, kind_of, number_of
from pykvm._native import ffi, lib
from pykvm.errors import ClosedError, KvmBusyError, failure, kvm_error, naming

__all__ = ["EventFd"]

#: An eventfd counts to this; one more signal has to wait for a read.
MAX_COUNT = 2**64 - 2

_ONE = 1
_signal = lib.gate_signal


class EventFd(Closing):
    """An eventfd of one's own: non-blocking, close-on-exec.

    It works with ``select``, ``selectors`` and asyncio's ``add_reader`` through :meth:`fileno`.

    Synchronization: every method from any thread; ``close()`` waits for signals under way.
    Source: eventfd(2).
    """

    __slots__ = ("__weakref__", "_bound_to", "_fd", "_gate")

    def __init__(self, count: int = 0) -> None:
        """A new eventfd whose counter starts at ``count`` (0 to 2**32 - 1)."""
        count = check_int("count", count, 0, 2**32 - 1)
        self._prepare()
        self._own(lib.gate_make(self._gate, count), "eventfd", count=count)

    def _prepare(self) -> None:
        """Before there is an eventfd: where a signal's handler raises then, close() finds it."""
        self._gate: Any = ffi.new("struct pykvm_gate *")
        self._fd = -1
        #: What KVM knows it for, while that has not been taken back.
        self._bound_to = ""

    def _own(self, fd: int, call: str, /, **arguments: object) -> None:
        if fd < 0:
            raise kvm_error(-fd, call, **arguments)
        self._fd = fd

    @classmethod
    def adopt(cls, given: int | HasFileno) -> Self:
        """An EventFd for somebody else's eventfd, through a duplicate of its descriptor.

        Raises ValueError where ``given`` is no open eventfd, or blocks: a duplicate shares that
        setting, and a full counter would then hang the thread that signals.
        """
        self = cls.__new__(cls)
        self._prepare()
        number = number_of(given)
        kind = kind_of(number)
        if kind and kind != "[eventfd]":
            raise ValueError(f"descriptor {number} is no eventfd but {kind}")
        if fdinfo(number).get("eventfd-semaphore"):
            raise ValueError(
                f"eventfd {number} is a semaphore (EFD_SEMAPHORE): a read takes one signal and "
                f"leaves the rest, which KVM and everything here would never see"
            )
        fd = lib.gate_adopt(self._gate, number)
        if fd == -errno.EBADF:
            raise ValueError(f"descriptor {number} is not open")
        self._own(fd, "fcntl F_DUPFD_CLOEXEC", fd=number)
        if os.get_blocking(fd):
            self.close()
            raise ValueError(
                f"eventfd {number} blocks: make it with pykvm.EventFd(), or with "
                f"os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)"
            )
        return self

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._fd < 0

    def fileno(self) -> int:
        """The descriptor's number, for poll and for handing on. ClosedError after close()."""
        if self._fd < 0:
            raise ClosedError("this EventFd is closed")
        return self._fd

    def signal(self, count: int = 1) -> None:
        """Adds ``count`` (1 to 2**64 - 2) to the counter.

        Errors: EAGAIN, as KvmWouldBlockError: the counter is full, nobody reads it.
        """
        if count is _ONE:  # True is not, and nearly every signal is
            result = _signal(self._gate)
        else:
            count = check_int("count", count, 1, MAX_COUNT)
            result = lib.gate_signal_many(self._gate, count)
        if result < 0:
            raise failure(result, "eventfd write", "EventFd", self._fd, count=count)

    def read(self) -> int:
        """Takes the counter and leaves 0; returns 0 if nothing was signalled. Never blocks."""
        count = lib.gate_take(self._gate)
        if count > MAX_COUNT:
            raise failure(lib.PYKVM_CLOSED, "eventfd read", "EventFd", self._fd)
        return count

    def poll(self, timeout: float | None = None) -> bool:
        """Whether there is something to read, after waiting up to ``timeout`` seconds for it.

        None waits for ever. ClosedError, within a second, where another thread closes it meanwhile.
        """
        seconds = math.inf if timeout is None else check_timeout(timeout)
        end = time.monotonic() + seconds
        poll = select.poll()
        while True:
            left = max(end - time.monotonic(), 0)
            poll.register(self.fileno(), select.POLLIN)
            # close() does not wake a poll, so look up now and then.
            found = poll.poll(min(left, 1) * 1000)
            self.fileno()  # closed meanwhile, its number tells of something else
            if found or left <= 1:
                return bool(found)

    def wait(self, timeout: float | None = None) -> int:
        """Waits up to ``timeout`` seconds (None: for ever) for a signal, then as :meth:`read`.

        ClosedError, within a second, where another thread closes it meanwhile.
        """
        end = None if timeout is None else time.monotonic() + check_timeout(timeout)
        while True:
            left = None if end is None else max(end - time.monotonic(), 0)
            # What was there may be gone: another reader was quicker.
            if (count := self.read()) or not self.poll(left):
                return count

    async def readable(self) -> None:
        """Waits in asyncio until there is something to read, and takes nothing.

        ``await eventfd`` waits in the same way, then takes the counter as :meth:`read` does.
        ClosedError, within a second, where it is closed meanwhile.
        """
        with self._watched() as readable:
            await readable()

    async def _take(self) -> int:
        with self._watched() as readable:
            while not (count := self.read()):
                await readable()
        return count

    def __await__(self) -> Generator[Any, None, int]:
        return self._take().__await__()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Gives a function to wait with, again and again, in the asyncio loop that runs now."""
        import asyncio  # here, because most programs that import pykvm never need it

        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        async def readable() -> None:
            ready.clear()
            while not ready.is_set():
                # Not wait_for(), which in Python 3.11 may swallow that the task is cancelled.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await ready.wait()
                self.fileno()

        # The loop knows descriptors by their number, which after close() may be a stranger's.
        try:
            fd = os.dup(self.fileno())
        except OSError:
            self.fileno()  # closed just now?
            raise
        try:
            loop.add_reader(fd, ready.set)
            yield readable
        finally:
            loop.remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        """Closes the descriptor.

        KvmBusyError for the eventfd of an Irqfd or Ioeventfd that is not closed: KVM would keep
        what it was told of it, out of reach.
        """
        if self._bound_to:
            raise KvmBusyError(
                errno.EBUSY, "close eventfd", {"fd": self._fd},
                f"It belongs to an {self._bound_to}: close that, which takes it from KVM first.",
            )  # fmt: skip
        self._fd = -1
        lib.gate_close(self._gate)

    # Bound here because at the interpreter's end the module's names may be gone.
    def __del__(self, _suppress: type[contextlib.suppress] = contextlib.suppress) -> None:
        with _suppress(Exception):  # one that is bound is closed with its binding, after KVM
            self.close()

    def __repr__(self) -> str:
        return f"<EventFd {'closed' if self._fd < 0 else f'fd {self._fd}'}>"


def check_timeout(timeout: object) -> float:
    if isinstance(timeout, bool) or not hasattr(type(timeout), "__float__"):
        raise TypeError(f"timeout must be seconds or None, not {type(timeout).__name__}")
    seconds = float(timeout)  # type: ignore[arg-type]
    if not seconds >= 0:
        raise ValueError(f"timeout is {timeout}; it must be 0 or more seconds, or None for ever")
    return seconds


def fdinfo(fd: int) -> dict[str, int]:
    """What the kernel tells of an eventfd: its id (since 5.2), whether it is a semaphore (6.5)."""
    wanted = ("eventfd-id:", "eventfd-semaphore:")
    path = f"/proc/self/fdinfo/{fd}"
    try:
        with naming("read fdinfo", fd=fd), open(path, encoding="utf-8") as info:
            pairs = (line.split() for line in info if line.startswith(wanted))
            return {name.rstrip(":"): int(value) for name, value in pairs}
    except FileNotFoundError:  # no /proc here
        return {}


def trigger_eventfd(given: EventFd | int | HasFileno | None) -> EventFd:
    """A new EventFd for a binding: of its own, or a duplicate of ``given``."""
    return EventFd() if given is None else EventFd.adopt(given)
