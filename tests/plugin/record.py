# SPDX-License-Identifier: Apache-2.0
"""``--record FILE``: everything that happens in a run of pytest, as lines of JSON, as it happens.

FILE may be a pipe. Each line is an object with an ``event``: ``host`` (where tests run; the last
one counts), ``collected``, ``start``, ``report`` (one phase of a test, or a failed collection),
``finish``, and ``end``. A run whose record lacks ``end`` has died.
"""

from __future__ import annotations

import json
import mmap
import os
import platform
import selectors
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("pykvm").addoption(
        "--record", type=Path, metavar="FILE", help="write all that happens as lines of JSON"
    )


def read(descriptor: int) -> Iterator[dict[str, Any] | None]:
    """The events of a record that comes through a pipe, to its end; None for each silent second.

    A last line that was cut off is left out.
    """
    rest = b""
    with selectors.DefaultSelector() as watch:
        watch.register(descriptor, selectors.EVENT_READ)
        while True:
            if not watch.select(1.0):
                yield None
                continue
            data = os.read(descriptor, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from map(json.loads, lines)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("record")
    if path is not None:
        # Line by line: a reader sees each event at once, also the last one before a crash.
        stream = open(path, "w", buffering=1, encoding="utf-8")
        config.pluginmanager.register(Recorder(config, stream), "pykvm-recorder")


def this_host() -> dict[str, Any]:
    """Where this process runs."""
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "page_size": mmap.PAGESIZE,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


class Recorder:
    """Writes the record."""

    def __init__(self, config: pytest.Config, stream: TextIO) -> None:
        self._config = config
        self._stream = stream

    def write(self, event: str, **content: object) -> None:
        """Writes one event."""
        self._stream.write(json.dumps({"event": event, **content}, default=repr) + "\n")

    def _report(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self.write("report", report=data)

    def pytest_sessionstart(self) -> None:
        self.write("host", host=this_host())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._report(report)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.write("collected", items=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.write("start", nodeid=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._report(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.write("finish", nodeid=nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self.write("end", exitstatus=int(exitstatus))

    def pytest_unconfigure(self) -> None:
        self._stream.close()
