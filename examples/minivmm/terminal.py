# SPDX-License-Identifier: Apache-2.0
"""The user's terminal, or the pipe in its place: what is typed goes to the guest, as it is.

Ctrl-C and its like are the guest's. Ctrl-A is ours: Ctrl-A x quits, Ctrl-A Ctrl-A sends one.
"""

from __future__ import annotations

import atexit
import os
import select
import stat
import termios
import threading
import tty
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from minivmm.events import LEVEL, EventLoop
from pykvm import EventFd

ESCAPE = 0x01
_HELP = b"\r\nCtrl-A x quits, Ctrl-A Ctrl-A sends a Ctrl-A to the guest\r\n"


class Receiver(Protocol):
    """A device that takes input."""

    @property
    def room(self) -> int: ...

    def receive(self, data: bytes) -> None: ...


class Terminal:
    """Stdin and stdout, raw while the ``with`` block lasts."""

    def __init__(self, stdin: int = 0, stdout: int = 1) -> None:
        self._in, self._out = stdin, _opened_again(stdout)
        self._write, self._close = _without_waiting(self._out)
        self._quit: Callable[[], None] = lambda: None
        self._is_terminal = os.isatty(self._in)
        self._before: list[Any] | None = None
        self._escaped = False
        self._receiver: Receiver | None = None
        self._loop: EventLoop | None = None
        self._watched = self._ended = False
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._ending = EventFd()
        self._writable = select.poll()
        self._writable.register(self._out, select.POLLOUT)
        self._writable.register(self._ending, select.POLLIN)

    def fileno(self) -> int:
        return self._in

    def __enter__(self) -> Terminal:
        if self._is_terminal:
            self._before = termios.tcgetattr(self._in)
            atexit.register(self._restore)
            tty.setraw(self._in, termios.TCSANOW)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        self._ending.close()
        self._close()

    def _restore(self) -> None:
        if self._before is not None:
            before, self._before = self._before, None
            with suppress(termios.error):  # it hung up, which is why we end
                termios.tcsetattr(self._in, termios.TCSADRAIN, before)

    def send(self, data: bytes | memoryview) -> None:
        """What the guest prints. Where nobody reads stdout any more, it is dropped.

        It may wait for whoever reads, but never inside write(), where nobody could let it go.
        """
        rest = memoryview(data)
        with self._sending:
            while rest:
                try:
                    rest = rest[self._write(rest) :]
                except BlockingIOError:
                    if self._out not in dict(self._writable.poll()):  # let_go()
                        return
                except OSError:
                    return

    def hold_on(self) -> None:
        """A guest begins to live, for which what it prints may wait."""
        self._ending.read()

    def let_go(self) -> None:
        """The guest has come to its end: nobody waits any more for somebody to read."""
        self._ending.signal()

    def connect(self, receiver: Receiver, loop: EventLoop, quit: Callable[[], None]) -> None:
        """Input goes to ``receiver``, as it has room for it; Ctrl-A x calls ``quit``."""
        self._receiver, self._loop, self._quit = receiver, loop, quit
        self._watched = False
        self.more()

    def more(self) -> None:
        """The receiver has room again. Any thread."""
        with self._lock:
            if self._watched or self._ended or self._loop is None:
                return
            self._watched = True
            try:
                self._loop.watch(self, self._readable, LEVEL)
                return
            except PermissionError:  # a plain file or /dev/null: always readable, never watched
                self._watched = False
        threading.Thread(target=self._readable, daemon=True).start()

    def _readable(self) -> None:
        assert self._receiver is not None
        with self._lock:
            room = self._receiver.room
            data = self._typed(room) if room > 0 else b""
            if data is None:
                return
            if not data and self._watched:
                self._watched = False
                assert self._loop is not None
                self._loop.unwatch(self)
            if data and self._is_terminal:
                data = self._commands(data)
            if data:
                self._receiver.receive(data)

    def _typed(self, room: int) -> bytes | None:
        """Up to so much of what was typed; nothing once there will be no more.

        None: it has gone to another program that reads there, too.
        """
        try:
            data = os.read(self._in, room)
        except BlockingIOError:
            return None
        except OSError:  # the terminal hung up, or somebody closed it
            data = b""
        self._ended = not data
        return data

    def _commands(self, data: bytes) -> bytes:
        for_guest = bytearray()
        for byte in data:
            if not self._escaped:
                self._escaped = byte == ESCAPE
                if self._escaped:
                    continue
                for_guest.append(byte)
                continue
            self._escaped = False
            if byte in b"xX":
                self._quit()
            elif byte == ESCAPE:
                for_guest.append(byte)
            else:
                self._show_help()
        return bytes(for_guest)

    def _show_help(self) -> None:
        """Unless nobody reads: the next keys may be those that quit."""
        if self._sending.acquire(blocking=False):
            try:
                with suppress(OSError):
                    self._write(memoryview(_HELP))
            finally:
                self._sending.release()


def open_missing() -> None:
    """Stdin, stdout and stderr that nobody gave. Else the next file that is opened has the number
    of one of them: what a guest prints would go into its disk."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # has the lowest number that is free: this one


def _opened_again(fd: int) -> int:
    """Where somebody reads, in a way of our own that does not block; others share the given one."""
    is_read = os.isatty(fd) or stat.S_ISFIFO(os.fstat(fd).st_mode)
    if is_read:
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
    return os.dup(fd)


def _without_waiting(fd: int) -> tuple[Callable[[memoryview], int], Callable[[], None]]:
    """How to write there, and how to close it. A socket cannot be opened again."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return partial(os.write, fd), partial(os.close, fd)
    import socket  # slow to load, and few have one there: those who come by ssh, or inetd

    stream = socket.socket(fileno=fd)
    return lambda data: stream.send(data, socket.MSG_DONTWAIT), stream.close
