# SPDX-License-Identifier: Apache-2.0
"""One part's process: started, listened to, and ended if it does not end by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.plugin.lab_run import WENT_SILENT
from tests.plugin.record import read
from tests.runner.parts import Part
from tests.runner.tally import Tally

TOP = Path(__file__).resolve().parents[2]
LOGS = TOP / "build" / "tests"
# Three times what the longest part takes on two slow cores; a hang must not last for ever.
LIMIT_SECONDS = 2400.0
# However the runner ends, its parts are told.
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "INT")
_GRACE_SECONDS = 90.0
_LOG_LINES = 600


class Process:
    """A part that runs, then what it came to: ``status``, ``seconds``, ``tally``, ``problems``."""

    def __init__(self, part: Part, listen: Callable[[Process, dict[str, Any]], None]) -> None:
        self.part = part
        self.tally = Tally()
        self.status: int | None = None
        self.seconds = 0.0
        self.problems: list[str] = []
        self.log = LOGS / f"{part.slug}.log"
        self._listen = listen
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = ""

    @property
    def failed(self) -> int:
        """How many things went wrong."""
        return self.tally.counts["failed"] + len(self.problems)

    def stop(self, why: str) -> None:
        """Asks the part to end: pytest then says where it was, and ends its emulated host."""
        self._stopped = self._stopped or why
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Ends the part at once. Its emulated host ends by itself."""
        if self._process is not None:
            self._process.kill()

    def run(self) -> None:
        """Runs the part to its end."""
        start = time.monotonic()
        if not self._stopped:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with open(self.log, "wb") as log:
                self.status = self._run(log.fileno(), start)
        self.seconds = time.monotonic() - start
        if self._stopped:
            self.problems.append(self._stopped)
        if self.part.is_tests:
            self.problems += self.tally.problems(self.status, self.part.shape)
        elif self.status:
            self.problems.append(f"it ended with status {self.status}")

    @property
    def went_silent(self) -> bool:
        """Whether its emulated host stopped saying anything: emulation stalls now and then."""
        if self.part.shape is None or self._stopped or not self.log.exists():
            return False
        return WENT_SILENT in self.log.read_text("utf-8", "replace")

    def repeat(self) -> None:
        """Runs the part anew, and counts this run alone; the first one's log is kept."""
        self.log.rename(self.log.with_suffix(".silent.log"))
        self.tally, self.problems, self.status = Tally(), [], None
        self.run()

    def _run(self, log: int, start: float) -> int:
        reader, writer = os.pipe()
        words = ["--record", f"/dev/fd/{writer}"] if self.part.is_tests else []
        self._process = subprocess.Popen(
            [*_ENDS_WITH_US, *self.part.command, *words],
            cwd=TOP,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            # Ctrl-C is for the runner alone, which passes it on once: twice would cut clean-up off.
            start_new_session=True,
        )
        os.close(writer)
        with open(reader, "rb", buffering=0) as record:
            for event in self._events(record.fileno(), start + LIMIT_SECONDS):
                self.tally.take(event)
                self._listen(self, event)
        try:
            return self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _events(self, record: int, deadline: float) -> Iterator[dict[str, Any]]:
        """The record's events, until it ends or its process does.

        Both, since a process that a test left behind may hold the record's pipe open.
        """
        assert self._process is not None
        for event in read(record):
            if event is not None:
                yield event
            elif self._process.poll() is not None:
                return
            overdue = time.monotonic() - deadline
            if overdue > _GRACE_SECONDS:
                return
            if overdue > 0 and not self._stopped:
                self.stop(f"it took more than {LIMIT_SECONDS:.0f} s and was ended")

    def log_end(self) -> str:
        """The end of what it printed."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text("utf-8", "replace").rstrip().splitlines()
        return "\n".join(lines[-_LOG_LINES:])
