# SPDX-License-Identifier: Apache-2.0
"""The command that the agent runs: its streams, and its end."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

from tests.lab.frames import CHUNK, Kind
from tests.lab.guest.wire import Channel


class Command:
    """The user's command, its streams, and its end."""

    def __init__(self, job: dict[str, Any], channel: Channel | None, capture: Path | None) -> None:
        self._channel = channel
        self._sources: dict[int, Kind] = {}
        self._input = -1
        self._is_terminal = bool(job.get("terminal"))
        self.status: int | None = None
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL}
        ends: list[int] = []
        if capture is not None:
            streams["stdout"] = open(capture / "stdout", "wb")
            streams["stderr"] = open(capture / "stderr", "wb")
        elif self._is_terminal:
            self._input, inner = pty.openpty()
            self.resize(job["terminal"])
            streams = {"stdin": inner, "stdout": inner, "stderr": inner}
            self._sources[self._input] = Kind.STDOUT
            ends = [inner]
        else:
            for name, kind in (("stdout", Kind.STDOUT), ("stderr", Kind.STDERR)):
                read, write = os.pipe()
                self._sources[read] = kind
                streams[name] = write
                ends.append(write)
            if job.get("stdin"):
                inner, self._input = os.pipe()
                streams["stdin"] = inner
                ends.append(inner)
        self.pid = -1
        try:
            # Kept: a Popen that is dropped takes its child's status with it.
            self._child = subprocess.Popen(
                job["argv"],
                cwd=job["cwd"],
                env=job["env"],
                start_new_session=True,
                preexec_fn=self._take_terminal if self._is_terminal else None,
                **streams,
            )
            self.pid = self._child.pid
        except OSError as error:
            words = f"lab: cannot run {job['argv'][0]}: {error.strerror}\n".encode()
            if capture is not None:
                streams["stderr"].write(words)
            else:
                os.write(ends[-1] if self._is_terminal else ends[1], words)
            self.status = (127 if isinstance(error, FileNotFoundError) else 126) << 8
        for each in ends:
            os.close(each)
        for stream in streams.values():
            if isinstance(stream, io.IOBase):
                stream.close()

    @staticmethod
    def _take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, size: dict[str, int]) -> None:
        """Set the terminal's size."""
        packed = struct.pack("HHHH", size["rows"], size["columns"], 0, 0)
        fcntl.ioctl(self._input, termios.TIOCSWINSZ, packed)

    def _reap(self, wait: bool = False) -> None:
        """Collect the dead, orphans too: process 1 inherits them."""
        while self.status is None or not wait:
            try:
                pid, status = os.waitpid(-1, 0 if wait else os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    def wait(self) -> int:
        """Just wait, deaf to the channel: for a host whose every instruction is counted."""
        self._reap(wait=True)
        assert self.status is not None
        return self.status

    def _pass_on(self, source: int) -> None:
        assert self._channel is not None
        try:
            data = os.read(source, CHUNK)
        except OSError:  # a terminal whose last user has gone
            data = b""
        if data:
            self._channel.send(self._sources[source], data)
        else:
            del self._sources[source]
            os.close(source)
            if source == self._input:
                self._input = -1

    def _obey(self, kind: Kind, data: bytes) -> None:
        if kind is Kind.STOP:
            os.kill(-1, signal.SIGKILL)
        elif kind is Kind.RESIZE and self._input >= 0:
            self.resize(json.loads(data))
        elif kind is Kind.INPUT and self._input >= 0:
            try:
                if data:
                    os.write(self._input, data)
                elif not self._is_terminal:
                    os.close(self._input)
                    self._input = -1
            except BrokenPipeError:
                pass

    def serve(self) -> int:
        """Pass streams on until the command has ended and its output is drained."""
        assert self._channel is not None
        wake, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._reap()
        for kind, data in self._channel.left_over():
            self._obey(kind, data)
        while self.status is None:
            ready, _, _ = select.select([wake, self._channel.descriptor, *self._sources], [], [])
            for source in [each for each in ready if each in self._sources]:
                self._pass_on(source)
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
            if self._channel.descriptor in ready:
                for kind, data in self._channel.read_ready():
                    self._obey(kind, data)
        # What the command left running ends with it; only then can its pipes come to an end.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while self._sources and time.monotonic() < deadline:
            ready, _, _ = select.select(list(self._sources), [], [], 1)
            for source in ready:
                self._pass_on(source)
        self._reap()
        return self.status
