# SPDX-License-Identifier: Apache-2.0
"""Where tests run: here, or on an emulated arm64 host (``tests/lab``).

Left alone, tests of the tier ``arm64`` run here on an arm64 machine with KVM, else on an emulated
host, all of them in one run of pytest there, and appear here with their failures, output and
durations. ``--host native`` and ``--host lab`` force it, the latter for the tier ``kvm`` too.
``--lab`` describes the host as the lab's command line does. A debugger does not reach there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.tree import HOME
from tests.plugin.lab_run import LAB, LabRun
from tests.plugin.record import Recorder
from tests.plugin.tiers import TIERS, tier_of
from tests.properties import holds


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pykvm")
    group.addoption(
        "--host",
        choices=("auto", "native", "lab"),
        default="auto",
        help="where tests that need a device run: auto (the default) runs the tier arm64 on an "
        "emulated host where this machine is no arm64 host with KVM, and all else here",
    )
    group.addoption(
        "--lab",
        default="",
        metavar="WORDS",
        help="which emulated host, as one word: --lab='--gic 2 --cpu cortex-a57 --kernel 6.1'; "
        "'python3 -m tests.lab run --help' has them all",
    )
    group.addoption(
        "--items",
        type=Path,
        metavar="FILE",
        help="run only the tests whose ids are in this list in JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Host(config), "pykvm-host")


class _Host:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._away: list[str] = []
        self._run: LabRun | None = None
        self._events: Iterator[dict[str, Any]] = iter(())
        self._arrived: dict[str, list[pytest.TestReport]] = {}
        self._finished: set[str] = set()
        self._collect_errors: dict[str, str] = {}
        self._blamed = False

    def _is_away(self, item: pytest.Item) -> bool:
        choice, tier = self._config.getoption("host"), tier_of(item)
        if choice == "auto":
            return tier == "arm64" and not all(holds(name) for name in TIERS[tier])
        return choice == "lab" and tier != "unit"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        path = self._config.getoption("items")
        if path is None:
            return
        wanted = set(json.loads(path.read_text(encoding="utf-8")))
        unwanted = [item for item in items if item.nodeid not in wanted]
        items[:] = [item for item in items if item.nodeid in wanted]
        if unwanted:
            self._config.hook.pytest_deselected(items=unwanted)

    @pytest.hookimpl(tryfirst=True)  # before pytest_report_collectionfinish
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._away = [item.nodeid for item in session.items if self._is_away(item)]

    def pytest_report_collectionfinish(self) -> str:
        if not self._away:
            return ""
        words = self._config.getoption("lab") or "the lab's default"
        return f"on an emulated arm64 host ({words}): {len(self._away)} tests"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if item.nodeid not in self._away:
            return None
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports_of(item):
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_unconfigure(self) -> None:
        if self._run is not None:
            self._run.stop()

    def _start(self) -> None:
        option = self._config.getoption
        words = ["--tb", option("tbstyle")] + ["--showlocals"] * bool(option("showlocals"))
        words += ["-v"] * self._config.get_verbosity() + ["--mute"] * bool(option("mute", False))
        for name in ("interrupts", "kicks", "generations"):
            if count := option(name, 0):
                words += [f"--{name}", str(count)]
        host_words = shlex.split(option("lab"))
        self._run = LabRun(self._away, host_words, words, lab=LAB, top=self._config.rootpath)
        self._events = self._run.events()

    def _reports_of(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """The reports of one test, waited for; where some are missing, one that says why."""
        if self._run is None:
            self._start()
        while item.nodeid not in self._finished and (event := next(self._events, None)):
            self._take(event)
        yield from self._arrived.pop(item.nodeid, ())
        if item.nodeid not in self._finished:
            yield _failed(item, self._why_missing(item))
        elif item.nodeid == self._away[-1]:
            for event in self._events:
                self._take(event)
            if trouble := self._blame():
                yield _failed(item, trouble)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] in ("host", "covers", "muted"):
            recorder = self._config.pluginmanager.get_plugin("pykvm-recorder")
            if isinstance(recorder, Recorder):
                recorder.write(**event)
        elif event["event"] == "finish":
            self._finished.add(event["nodeid"])
        elif event["event"] == "report":
            report = self._revive(event["report"])
            if isinstance(report, pytest.TestReport):
                self._arrived.setdefault(report.nodeid, []).append(report)
            else:
                self._collect_errors[report.nodeid] = report.longreprtext

    def _revive(self, data: dict[str, Any]) -> pytest.TestReport | pytest.CollectReport:
        if isinstance(data["longrepr"], list):  # a skip
            path, line, reason = data["longrepr"]
            data["longrepr"] = (path.removeprefix(f"/{HOME}/"), line, reason)
        hook = self._config.hook
        report: pytest.TestReport | pytest.CollectReport
        report = hook.pytest_report_from_serializable(config=self._config, data=data)
        return report

    def _why_missing(self, item: pytest.Item) -> str:
        for collector, error in self._collect_errors.items():
            if item.nodeid.startswith(collector):
                return f"{collector} could not be collected on the emulated host:\n{error}"
        if trouble := self._blame():
            return trouble
        assert self._run is not None
        if self._run.ended.trouble:
            return f"did not run: {self._run.ended.trouble} (see the first failure)"
        return "this test exists here, but not on the emulated host: its id must not differ there"

    def _blame(self) -> str:
        """The end of the run's log and why it is shown, the first time; nothing if all is well."""
        assert self._run is not None
        trouble, log = self._run.ended
        if not trouble or self._blamed:
            return ""
        self._blamed = True
        return f"{trouble}; it said last:\n{log}"


def _failed(item: pytest.Item, why: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=why,
        when="call",
    )
