# SPDX-License-Identifier: Apache-2.0
"""Eventfds: the counters by which a device model and KVM wake each other."""

from __future__ import annotations

import contextlib
import os
import select
from typing import Self

from pykvm._descriptor import Closing, HasFileno, check_int, duplicate, kind_of, number_of
from pykvm._native import ffi, lib
from pykvm.errors import ClosedError, failure

__all__ = ["EventFd"]

#: An eventfd counts to this; one more signal has to wait for a read.
MAX_COUNT = 2**64 - 2


class EventFd(Closing):
    """An eventfd of one's own: non-blocking, close-on-exec.

    It works with ``select``, ``selectors`` and asyncio's ``add_reader`` through :meth:`fileno`.

    Synchronization: every method from any thread; ``close()`` waits for signals under way.
    Source: eventfd(2).
    """

    __slots__ = ("__weakref__", "_fd", "_gate")

    def __init__(self, count: int = 0) -> None:
        """A new eventfd whose counter starts at ``count`` (0 to 2**32 - 1)."""
        self._fd = -1
        check_int("count", count, 0, 2**32 - 1)
        self._own(os.eventfd(count, os.EFD_NONBLOCK | os.EFD_CLOEXEC))

    def _own(self, fd: int) -> None:
        self._gate = ffi.new("struct pykvm_gate *")
        lib.gate_open(self._gate, fd)
        self._fd = fd

    @classmethod
    def adopt(cls, given: int | HasFileno) -> Self:
        """An EventFd for somebody else's eventfd, through a duplicate of its descriptor.

        Raises ValueError where ``given`` is no open eventfd, or blocks: a duplicate shares that
        setting, and a full counter would then hang the thread that signals.
        """
        number = number_of(given)
        kind = kind_of(number)
        if kind and kind != "[eventfd]":
            raise ValueError(f"descriptor {number} is no eventfd but {kind}")
        fd = duplicate(number)
        if os.get_blocking(fd):
            os.close(fd)
            raise ValueError(
                f"eventfd {number} blocks: make it with pykvm.EventFd(), or with "
                f"os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)"
            )
        self = cls.__new__(cls)
        self._fd = -1
        self._own(fd)
        return self

    @property
    def closed(self) -> bool:
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
        check_int("count", count, 1, MAX_COUNT)
        result = lib.gate_signal_many(self._gate, count)
        if result < 0:
            raise failure(result, "eventfd write", "EventFd", self._fd, count=count)

    def read(self) -> int:
        """Takes the counter and leaves 0; returns 0 if nothing was signalled. Never blocks."""
        try:
            return os.eventfd_read(self.fileno())
        except BlockingIOError:
            return 0

    def wait(self, timeout: float | None = None) -> int:
        """Waits up to ``timeout`` seconds (None: for ever) for a signal, then as :meth:`read`."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        poll.poll(None if timeout is None else timeout * 1000)
        return self.read()

    def close(self) -> None:
        """Closes the descriptor. What KVM was told of it goes on until it is deassigned."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            lib.gate_shut(self._gate)
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.close()

    def __repr__(self) -> str:
        return f"<EventFd {'closed' if self._fd < 0 else f'fd {self._fd}'}>"


def is_semaphore(fd: int) -> bool:
    """Whether the eventfd counts down by one per read, as far as the kernel tells (since 6.5)."""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
        return any(line.split() == ["eventfd-semaphore:", "1"] for line in info)
    return False


def trigger_eventfd(given: EventFd | int | HasFileno | None) -> EventFd:
    """A new EventFd for a binding: of its own, or a duplicate of ``given``."""
    if given is None:
        return EventFd()
    adopted = EventFd.adopt(given)
    if is_semaphore(adopted.fileno()):
        adopted.close()
        raise ValueError(
            "an eventfd with EFD_SEMAPHORE keeps what it was not asked for: KVM would take one "
            "signal of several and never see the rest"
        )
    return adopted
