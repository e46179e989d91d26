# SPDX-License-Identifier: Apache-2.0
"""One command on a running host: send it, pass its streams on, bring its status and files back."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import selectors
import shutil
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.errors import TIMED_OUT, LabError
from tests.lab.frames import CHUNK, Decoder, Kind, frame
from tests.lab.machine import PATIENCE_SECONDS, Machine

# How long a host may take to end a command whose time is over, and to send $OUT.
_GRACE_SECONDS = 30.0
_LONGEST_WAIT = 3600.0
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "OUT": "/out",
    "PYTHONPATH": "/src",
    "PYKVM_LAB": "1",
}


@dataclass
class Job:
    """A command and what it needs."""

    argv: Sequence[str]
    timeout: float = 600.0
    out: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    stdout: int = 1
    stderr: int = 2
    terminal: dict[str, int] | None = None
    takes_input: bool = False

    def described(self, *, counted: bool = False) -> dict[str, Any]:
        """The job as the agent reads it."""
        environment = {**_ENVIRONMENT, **self.environment}
        told: dict[str, Any] = {
            "argv": list(self.argv),
            "cwd": "/src",
            "env": environment,
            "out": self.out is not None,
            "terminal": self.terminal,
            "stdin": self.takes_input,
        }
        if counted:
            environment["PYTHONHASHSEED"] = "0"
        else:
            told["time"] = time.time()
            told["entropy"] = os.urandom(64).hex()
        return told


def write_all(descriptor: int, data: bytes, deadline: float) -> None:
    """Write everything to a descriptor; TimeoutError if nobody reads it by the deadline."""
    rest = memoryview(data)
    while rest:
        # A blocking pipe that is ready takes this much without blocking.
        left = max(0.0, min(deadline - time.monotonic(), _LONGEST_WAIT))
        if select.select([], [descriptor], [], left)[1]:
            rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
        elif time.monotonic() >= deadline:
            raise TimeoutError


def exit_status(wait_status: int) -> int:
    """A shell's view of a wait status: 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


class Conversation:
    """The frames to and from one host's agent."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._socket = machine.port
        self._socket.setblocking(False)
        self._decoder = Decoder()
        self._sending = bytearray()
        self._watch = selectors.DefaultSelector()
        self._watch.register(self._socket, selectors.EVENT_READ)

    def watch(self, descriptor: int, react: Callable[[], object]) -> None:
        """Call `react` whenever the descriptor can be read, while frames are waited for."""
        self._watch.register(descriptor, selectors.EVENT_READ, react)

    def unwatch(self, descriptor: int) -> None:
        """Undo `watch`."""
        self._watch.unregister(descriptor)

    def send(self, kind: Kind, data: bytes = b"") -> None:
        """Queue a frame."""
        self._sending += frame(kind, data)
        self._push()

    def _push(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._sending:
                sent = self._socket.send(self._sending[: 1 << 20])
                del self._sending[:sent]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._sending else 0)
        self._watch.modify(self._socket, events)

    def frames(self, wait: float) -> list[tuple[Kind, bytes]]:
        """What arrives within a time; an empty list when nothing did."""
        for key, events in self._watch.select(max(0.0, min(wait, _LONGEST_WAIT))):
            if key.data is not None:
                key.data()
                continue
            if events & selectors.EVENT_WRITE:
                self._push()
            if events & selectors.EVENT_READ:
                try:
                    data = self._socket.recv(1 << 16)
                except ConnectionResetError:
                    data = b""
                if not data:
                    raise self._machine.failure("the emulated host ended unexpectedly")
                return list(self._decoder.feed(data))
        return []

    def ready(self) -> None:
        """Wait for the agent."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for kind, data in self.frames(deadline - time.monotonic()):
                if kind is Kind.READY:
                    if not json.loads(data)["kvm"]:
                        raise self._machine.failure("the emulated host came up without /dev/kvm")
                    return
        raise self._machine.failure("the emulated host did not come up in time")


def unpack_out(data: bytes, into: Path) -> None:
    """Lay what came from $OUT out: plain files and directories, none of them outside `into`."""
    if not data:
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            target = into.joinpath(*[part for part in Path(entry.name).parts if part != "."])
            if ".." in target.parts[len(into.parts) :] or Path(entry.name).is_absolute():
                raise LabError(f"$OUT holds a file with the path {entry.name!r}; it was not taken.")
            if entry.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif entry.isfile():
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(entry)
                assert source is not None
                with source, open(target, "wb") as copy:
                    shutil.copyfileobj(source, copy)
                target.chmod(0o755 if entry.mode & 0o100 else 0o644)


def carry_out(machine: Machine, talk: Conversation, job: Job, *, has_started: bool = False) -> int:
    """Pass on what a command says until it has ended; its exit status."""
    # The time limit is the command's: what comes before it is the lab's own.
    deadline = time.monotonic() + (job.timeout if has_started else PATIENCE_SECONDS)
    timed_out = False
    out = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            if not has_started:
                raise machine.failure("the emulated host did not start the command in time")
            if timed_out:
                return TIMED_OUT
            timed_out = True
            deadline = time.monotonic() + _GRACE_SECONDS
            talk.send(Kind.STOP)
            continue
        for kind, data in talk.frames(left):
            if kind is Kind.STARTED:
                has_started = True
                deadline = time.monotonic() + job.timeout
            elif kind in (Kind.STDOUT, Kind.STDERR):
                try:
                    write_all(job.stdout if kind is Kind.STDOUT else job.stderr, data, deadline)
                except TimeoutError:
                    return TIMED_OUT
            elif kind is Kind.OUT:
                out += data
            elif kind is Kind.EXIT:
                if job.out is not None:
                    unpack_out(bytes(out), job.out)
                return TIMED_OUT if timed_out else exit_status(json.loads(data)["status"])


def start(talk: Conversation, job: Job, files: bytes) -> None:
    """Send the files and the command."""
    for begin in range(0, len(files), CHUNK):
        talk.send(Kind.FILES, files[begin : begin + CHUNK])
    talk.send(Kind.FILES)
    talk.send(Kind.JOB, json.dumps(job.described()).encode())
