# SPDX-License-Identifier: Apache-2.0
"""Progress: a line for each test file of a part; on a terminal also what runs at the moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tests.runner.process import Process


class _Progress:
    """Where one part is."""

    def __init__(self) -> None:
        self.file = ""
        self.results: dict[str, str] = {}
        self.total = 0
        self.done = 0


class Screen:
    """Shows progress. Its methods may be called from any thread."""

    def __init__(self, width: int) -> None:
        self._start = time.monotonic()
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        self._lock = threading.Lock()
        self._width = width
        self._running: dict[Process, _Progress] = {}
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._now,
                console=self._console,
                transient=True,
                refresh_per_second=2,
            )
            self._live.start()

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Prints one line, or several."""
        self._console.print(Text(text, style))

    def _line(self, name: str, text: str, style: str = "") -> None:
        seconds = time.monotonic() - self._start
        self.say(f"{seconds:7.1f} s  {name:{self._width}}  {text}", style)

    def _now(self) -> Text:
        with self._lock:
            lines = [
                f"  {each.part.name:{self._width}}  {at.done}/{at.total}  {each.tally.running}"
                for each, at in self._running.items()
            ]
        return Text("\n".join(lines), "cyan", no_wrap=True, overflow="ellipsis")

    def started(self, process: Process) -> None:
        """A part begins."""
        with self._lock:
            self._running[process] = _Progress()
        self._line(process.part.name, "…", "dim")

    def heard(self, process: Process, event: dict[str, Any]) -> None:
        """A part's record goes on."""
        at = self._running[process]
        match event["event"]:
            case "collected":
                at.total = len(event["items"])
            case "start":
                file = event["nodeid"].partition("::")[0]
                if file != at.file:
                    self._file_done(process, at)
                    at.file, at.results = file, {}
            case "report" if event["report"]["outcome"] == "failed":
                nodeid = event["report"]["nodeid"]
                at.results[nodeid] = "failed"
                self._line(process.part.name, f"FAILED {nodeid}", "red")
            case "finish":
                at.done += 1
                nodeid = event["nodeid"]
                at.results[nodeid] = process.tally.results.get(nodeid, "failed")

    def _file_done(self, process: Process, at: _Progress) -> None:
        if at.file:
            self._line(process.part.name, f"{at.file}  {counted(Counter(at.results.values()))}")

    def ended(self, process: Process) -> None:
        """A part ends."""
        with self._lock:
            at = self._running.pop(process)
        self._file_done(process, at)
        outcome = "FAILED" if process.failed else "ok"
        style = "bold red" if process.failed else "green"
        self._line(process.part.name, f"{outcome}, {process.seconds:.1f} s", style)


def counted(counts: Counter[str]) -> str:
    """`12 passed, 1 skipped`."""
    shown = [f"{counts[word]} {word}" for word in ("passed", "failed", "skipped") if counts[word]]
    return ", ".join(shown) or "nothing"
