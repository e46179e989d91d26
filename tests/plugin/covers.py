# SPDX-License-Identifier: Apache-2.0
"""``@pytest.mark.covers(ROW, ...)``: this test proves these rows of the interface.

A row (``tests/coverage/rows.py``) is proven by a test that made the call, saw it succeed, and
asserted its effect: what a guest reported, or what another call read back. With
``refused="EINVAL"`` it is the refusal that is proven, for rows that the host cannot serve. The
trace of the test tells whether the call was made; that the assertion sees it is shown by a run in
which the call does nothing.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from _pytest.runner import runtestprotocol

from tests.coverage import match, trace
from tests.coverage.rows import ROWS
from tests.plugin.record import Recorder
from tests.plugin.tiers import tier_of

#: A test whose call does nothing may wait for what never comes; that it does tells enough.
_MUTED_SECONDS = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("pykvm").addoption(
        "--mute",
        action="store_true",
        help="run each test that proves rows once more for each of them, with the row's call made "
        "to do nothing: the test must fail (in the test build, on emulated hosts)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "covers(*rows, refused=None): rows of tests/coverage/rows.py that it proves"
    )
    watch = _Watch(config) if trace.available() else _WatchUnits(config)
    config.pluginmanager.register(watch, "pykvm-covers")


def covered(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """The rows that a test proves, each with the errno of its refusal, or an empty string."""
    for marker in item.iter_markers("covers"):
        refused = marker.kwargs.get("refused") or ""
        for row in marker.args:
            yield row, refused


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for row, refused in covered(item):
            if row not in ROWS:
                raise pytest.UsageError(
                    f"{item.nodeid} covers {row!r}, which is no row of tests/coverage/rows.py"
                )
            if refused and refused not in errno.errorcode.values():
                raise pytest.UsageError(f"{item.nodeid}: refused={refused!r} is no errno")


class _Teller:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._in_test = False

    def _tell(self, event: str, item: pytest.Item, **content: object) -> None:
        recorder = self._config.pluginmanager.get_plugin("pykvm-recorder")
        if isinstance(recorder, Recorder):
            recorder.write(event, nodeid=item.nodeid, **content)


class _WatchUnits(_Teller):
    """Tells the record of rows that no host can show, proven by a test that needs none."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call" and report.passed and tier_of(item) == "unit":
            rows = [row for row, _ in covered(item) if ROWS[row].mark]
            if rows:
                self._tell("covers", item, rows=rows)
        return report


class _Watch(_Teller):
    """Tells the record which rows each test has proven, or what it noticed of muted calls."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        trace.reset()
        reports = runtestprotocol(item, nextitem=nextitem)
        seen = list(trace.calls())
        if all(report.passed for report in reports):
            rows = {row: why for row, why in covered(item) if match.proven(row, why, seen)}
            if rows:
                self._tell("covers", item, rows=list(rows))
            if self._config.getoption("mute"):
                for row, refused in rows.items():
                    noticed = self._notices(item, row, refused, nextitem)
                    self._tell("muted", item, row=row, noticed=noticed)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _notices(
        self, item: pytest.Item, row: str, refused: str, nextitem: pytest.Item | None
    ) -> bool:
        """Whether the test fails when the calls of this row do nothing."""
        if _cannot_do_less(row):
            return True
        calls = match.pattern_of_refusal(row) if refused else match.pattern(row)
        item._initrequest()  # type: ignore[attr-defined]
        with trace.muted(*calls), self._impatience():
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        return not all(report.passed for report in reports)

    @contextmanager
    def _impatience(self) -> Iterator[None]:
        """Ends a test, and its fixtures, that wait for long; not pytest, which tells of it."""

        def give_up(_signum: int, _frame: FrameType | None) -> None:
            if self._in_test:
                raise TimeoutError("nothing comes")

        before = signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, _MUTED_SECONDS, 1)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        self._in_test = True
        try:
            yield
        finally:
            self._in_test = False

    pytest_runtest_setup = pytest_runtest_teardown = pytest_runtest_call


def _cannot_do_less(row: str) -> bool:
    """An exit that is left out is told as UNKNOWN; what answers 0 everywhere has no less to say."""
    return row == "exit UNKNOWN" or (ROWS[row].section == "cap" and bool(ROWS[row].mark))
