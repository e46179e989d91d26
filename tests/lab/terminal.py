# SPDX-License-Identifier: Apache-2.0
"""An interactive shell on a host: the user's terminal, or a pipe, at its other end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator

from tests.lab.frames import CHUNK, Kind
from tests.lab.job import Conversation, Job

_BANNER = "The tree is in /src; 'exit' ends the host and everything in it.\r\n"


def size() -> dict[str, int]:
    """The terminal's size."""
    found = os.get_terminal_size(sys.stdin.fileno())
    return {"rows": found.lines, "columns": found.columns}


def shell_job(argv: list[str]) -> Job:
    """A job for an interactive shell, on a terminal if there is one here."""
    interactive = os.isatty(0) and os.isatty(1)
    environment = {"TERM": os.environ.get("TERM", "dumb"), "PS1": "lab:\\w# "}
    return Job(
        argv,
        timeout=float("inf"),
        environment=environment,
        terminal=size() if interactive else None,
        takes_input=True,
    )


@contextlib.contextmanager
def attached(talk: Conversation, job: Job) -> Iterator[None]:
    """Inside the block, stdin and the terminal's size go to the command."""
    wake, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def pass_on() -> None:
        data = os.read(0, CHUNK)
        talk.send(Kind.INPUT, data)
        if not data:
            talk.unwatch(0)

    def resize() -> None:
        os.read(wake, 4096)
        talk.send(Kind.RESIZE, json.dumps(size()).encode())

    # A plain file cannot be watched; it is all there, and is sent at once.
    try:
        talk.watch(0, pass_on)
    except PermissionError:
        while data := os.read(0, CHUNK):
            talk.send(Kind.INPUT, data)
        talk.send(Kind.INPUT)
    before = None
    if job.terminal is not None:
        os.write(2, _BANNER.encode())
        before = termios.tcgetattr(0)
        tty.setraw(0)
        talk.watch(wake, resize)
        signal.signal(signal.SIGWINCH, lambda *_: None)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    try:
        yield
    finally:
        if before is not None:
            signal.set_wakeup_fd(-1)
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        os.close(wake)
        os.close(signalled)
