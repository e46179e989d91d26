# SPDX-License-Identifier: Apache-2.0
"""Booting a stock Linux in the minimal VMM, as a person does it.

A guest that is to do several things is told by ``script``, which its init runs; what it prints can
be waited for, and answered.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.arm64.vmm.standstill import standing
from tests.properties import GUEST

PROGRAM = Path(__file__).resolve().parents[3] / "examples" / "boot_linux.py"
#: Seconds for a guest to come to what is waited for. Emulated hosts stall for long.
PATIENCE = 230  # below what the runner lets a test take
#: For a program that was told to end at once.
_LAST_WORDS = 30


def command(script: str, *words: str, program: Path = PROGRAM) -> list[str]:
    """The command line for a guest whose init runs ``script``, in which no double quote can be."""
    assert '"' not in script
    return [
        sys.executable, str(program), str(GUEST), "--initrd", str(GUEST.with_name("initrd")),
        *words, "--append", f'quiet guest.run="{script}"',
    ]  # fmt: skip


class Linux:
    """A guest under way. ``said`` is everything that it has printed."""

    def __init__(self, script: str, *words: str, program: Path = PROGRAM) -> None:
        self._process = subprocess.Popen(
            command(script, *words, program=program),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=dict(os.environ, PYTHONFAULTHANDLER="1"),
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.said = ""
        self._heard = 0  # up to where next() has looked

    def until(self, words: str, patience: float = PATIENCE) -> str:
        """Waits until the guest has said this since it was last waited for; returns all since."""
        start, end = len(self.said), time.monotonic() + patience
        while words not in self.said[start:]:
            if not self._hear(end):
                raise self._failure(f"{words!r} was never said")
        return self.said[start:]

    def next(self, pattern: str) -> str:
        """Waits for a line that matches; returns all up to its end since the last such line."""
        end = time.monotonic() + PATIENCE
        while not (found := re.compile(f"^{pattern}\n", re.M).search(self.said, self._heard)):
            if not self._hear(end):
                raise self._failure(f"{pattern!r} never came")
        start, self._heard = self._heard, found.end()
        return self.said[start : found.end()]

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    def _hear(self, end: float) -> bool:
        left = end - time.monotonic()
        if left <= 0 or not select.select([self._out], [], [], left)[0]:
            return False
        data = os.read(self._out.fileno(), 4096)
        self.said += data.decode("utf-8", "replace").replace("\r", "")
        return bool(data)

    def type(self, words: str) -> None:
        self._in.write(words.encode())
        self._in.flush()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Waits for its end: exit status, and what the program itself had to say."""
        end = time.monotonic() + PATIENCE
        while self._hear(end):
            pass
        try:
            status = self._process.wait(max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._failure("it has not ended") from None
        return status, self._errors()

    def _failure(self, what: str) -> AssertionError:
        """What was waited for in vain, with all that can be told. It ends the program."""
        where = standing(self.pid) if self._process.poll() is None else ""
        self._process.send_signal(signal.SIGABRT)  # Python tells where each of its threads is
        errors = self._errors()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)
        status = self._process.returncode
        return AssertionError(f"{what}, but: {self.said}{where}{errors}\nits status: {status}")

    def _errors(self) -> str:
        """What the program itself had to say; it has ended, or is about to."""
        assert self._process.stderr
        fd, said = self._process.stderr.fileno(), b""
        while select.select([fd], [], [], _LAST_WORDS)[0] and (data := os.read(fd, 4096)):
            said += data
        return said.decode("utf-8", "replace")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@contextlib.contextmanager
def linux(script: str, *words: str, program: Path = PROGRAM) -> Iterator[Linux]:
    """A guest that is ended with the block, whatever happened."""
    guest = Linux(script, *words, program=program)
    try:
        yield guest
    finally:
        guest.close()
