# SPDX-License-Identifier: Apache-2.0
"""Descriptors that are waited for, and who hears of them.

Eventfds are watched by their edges: each signal wakes, so nobody needs to read the counter. That
saves a system call for each request of a disk.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

from pykvm import EventFd

EDGE = select.EPOLLIN | select.EPOLLET
LEVEL = select.EPOLLIN
#: Seconds of one wait, at most: epoll has milliseconds in 32 bits, less than some alarms are away.
_LONGEST = 86_400.0


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class EventLoop:
    """Calls functions when descriptors become readable, in the thread that is inside run().

    Synchronization: run() and close() from one thread, everything else from any.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._reactions: dict[int, Callable[[], object]] = {}
        self._wake = EventFd()
        self._stopping = False
        self._due: tuple[float, Callable[[], object]] | None = None
        self.watch(self._wake, self._wake.read)

    def watch(self, source: HasFileno, react: Callable[[], object], how: int = EDGE) -> None:
        self._reactions[source.fileno()] = react
        self._epoll.register(source.fileno(), how)

    def unwatch(self, source: HasFileno) -> None:
        if self._reactions.pop(source.fileno(), None):
            with contextlib.suppress(OSError):  # closed meanwhile: epoll has forgotten it
                self._epoll.unregister(source.fileno())

    def call_later(self, seconds: float | None, react: Callable[[], object]) -> None:
        """Once, after so many seconds, in place of what was asked for before; None: never."""
        self._due = None if seconds is None else (time.monotonic() + seconds, react)
        self._wake.signal()

    def run(self) -> None:
        """Until stop(). What a function raises comes out of here."""
        reactions = self._reactions
        poll = self._epoll.poll
        while not self._stopping:
            due = self._due
            left = None if due is None else min(max(0.0, due[0] - time.monotonic()), _LONGEST)
            for fd, _ in poll(left):
                if react := reactions.get(fd):
                    react()
            if due is not None and due is self._due and time.monotonic() >= due[0]:
                self._due = None
                due[1]()

    def stop(self) -> None:
        self._stopping = True
        self._wake.signal()

    def close(self) -> None:
        self._epoll.close()
        self._wake.close()


class LoopThread:
    """An event loop with a thread of its own, for a device whose work takes time."""

    def __init__(self, name: str, failed: Callable[[BaseException], None]) -> None:
        self.loop = EventLoop()
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name=name)

    def _run(self) -> None:
        try:
            self.loop.run()
        except BaseException as failure:
            self._failed(failure)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Returns when the thread has done what it was doing."""
        if self._thread.is_alive():
            self.loop.stop()
            self._thread.join()
        self.loop.close()
