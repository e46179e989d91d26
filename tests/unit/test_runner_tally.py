# SPDX-License-Identifier: Apache-2.0
"""No way for a run to look good that was not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.shapes import ALL_SHAPES, Shape
from tests.plugin import lab_run
from tests.runner import parts, process, summary
from tests.runner.parts import Part
from tests.runner.process import Process
from tests.runner.tally import Tally
from tests.runner.verdict import Verdict, judge

Event = dict[str, Any]


@pytest.fixture(autouse=True)
def _logs_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOGS", tmp_path)


HOST = {"machine": "aarch64", "kernel": "6.12.107+deb13-arm64", "page_size": 4096}


def _report(nodeid: str, when: str, outcome: str, longrepr: object = None) -> Event:
    report = {"nodeid": nodeid, "when": when, "outcome": outcome, "longrepr": longrepr}
    return {"event": "report", "report": {**report, "$report_type": "TestReport"}}


def _test(nodeid: str, outcome: str, reason: str = "") -> list[Event]:
    """What the record says of one test."""
    start: Event = {"event": "start", "nodeid": nodeid}
    finish: Event = {"event": "finish", "nodeid": nodeid}
    if outcome == "skipped":
        return [start, _report(nodeid, "setup", outcome, ["file", 1, f"Skipped: {reason}"]), finish]
    phases = [_report(nodeid, "setup", "passed"), _report(nodeid, "call", outcome)]
    return [start, *phases, _report(nodeid, "teardown", "passed"), finish]


def _record(*tests: list[Event], host: Event = HOST, end: bool = True) -> list[Event]:
    """A whole record of these tests."""
    ids = [test[0]["nodeid"] for test in tests]
    events: list[Event] = [{"event": "host", "host": host}, {"event": "collected", "items": ids}]
    for test in tests:
        events += test
    return [*events, {"event": "end", "exitstatus": 0}] if end else events


def _tally(events: Sequence[Event]) -> Tally:
    tally = Tally()
    for event in events:
        tally.take(event)
    return tally


GOOD = _test("a", "passed")


def test_a_good_run_has_no_problem() -> None:
    tally = _tally(_record(GOOD, _test("b", "skipped", "needs vgicv2")))
    assert tally.problems(0, Shape()) == []
    assert tally.counts == {"passed": 1, "skipped": 1}
    assert tally.missed == {"b": "vgicv2"}
    assert tally.ran == {"a"}


def test_failures_count_once_whatever_the_phase() -> None:
    twice = [*_test("b", "failed")[:-1], _report("b", "teardown", "failed")]
    tally = _tally(_record(GOOD, twice, _test("c", "failed")))
    assert tally.counts == {"passed": 1, "failed": 2}


def test_a_teardown_that_fails_outweighs_a_test_that_passed() -> None:
    tally = _tally(_record([*_test("a", "passed")[:-1], _report("a", "teardown", "failed")]))
    assert tally.counts == {"failed": 1}


@pytest.mark.parametrize(
    ("events", "status", "problem"),
    [
        ([], 1, "it ended before its time"),
        (_record(), 5, "it ran no test"),
        (_record(), 0, "it ran no test"),
        (_record(_test("a", "skipped", "needs vgicv2")), 0, "it ran no test"),
        (_record(GOOD, end=False), 0, "it ended before its time"),
        (_record(GOOD, _test("b", "passed")[:2], end=False), -11, "it ended inside b"),
        (_record(GOOD), 3, "it ended with status 3"),
        (_record(GOOD), None, "it ended with status None"),
        (_record(GOOD), 1, "it ended with status 1, although no test failed"),
        (_record(GOOD, _test("b", "passed")[:1])[:-1], 0, "b"),
        (_record(GOOD, _test("b", "skipped", "bored")), 0, "for no property of the host"),
        (_record(GOOD, host={**HOST, "kernel": "6.1.0-50-arm64"}), 0, "6.1.0-50-arm64, not 6.12"),
        (_record(GOOD, host={**HOST, "page_size": 16384}), 0, "16384 bytes, not 4k"),
        (_record(GOOD, host={**HOST, "machine": "x86_64"}), 0, "no arm64 machine"),
    ],
)
def test_what_is_wrong_with_a_run(events: list[Event], status: int | None, problem: str) -> None:
    found = _tally(events).problems(status, Shape())
    assert any(problem in each for each in found), found


def test_a_failed_collection_is_a_problem() -> None:
    error = {"nodeid": "tests/x.py", "outcome": "failed", "$report_type": "CollectReport"}
    tally = _tally([*_record(GOOD), {"event": "report", "report": error}])
    assert tally.problems(1, None) == ["tests/x.py could not be collected"]


def test_a_kernel_whose_name_only_begins_alike_is_another() -> None:
    record = _record(GOOD, host={**HOST, "kernel": "6.12.107"})
    assert _tally(record).problems(0, Shape(kernel="6.1"))


def _process(name: str, events: Sequence[Event]) -> Process:
    made = Process(Part(name, (), is_tests=True), lambda *_: None)
    for event in events:
        made.tally.take(event)
    return made


def test_a_test_that_ran_nowhere_fails_the_whole() -> None:
    skipped = _test("b", "skipped", "needs vgicv2")
    hosts = [_process("one", _record(GOOD, skipped)), _process("two", _record(GOOD, skipped))]
    assert judge(hosts, beyond=()) == Verdict(2, 1, 2, nowhere=["b"], excused=[])
    assert judge(hosts, beyond=("vgicv2",)) == Verdict(2, 0, 2, nowhere=[], excused=["b"])
    hosts.append(_process("three", _record(_test("b", "passed"))))
    assert judge(hosts, beyond=()) == Verdict(3, 0, 2, nowhere=[], excused=[])


def test_a_test_whose_hosts_all_died_ran_nowhere() -> None:
    events = [{"event": "collected", "items": ["a", "b"]}, *GOOD]
    assert judge([_process("one", events)], beyond=("sve",)).nowhere == ["b"]


def test_checks_count_as_one_each() -> None:
    good = Process(Part("good", (sys.executable, "-c", "")), lambda *_: None)
    bad = Process(Part("bad", (sys.executable, "-c", "raise SystemExit(3)")), lambda *_: None)
    for check in (good, bad):
        check.run()
    verdict = judge([good, bad], beyond=())
    assert summary.last_line(verdict) == "1 passed, 1 failed, 0 skipped"
    assert "FAILED bad:\n  it ended with status 3" in summary.troubles([good, bad])


def test_a_process_that_closes_its_record_and_hangs_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.5)
    endless = "import os, sys, time; os.close(int(sys.argv[-1].split('/')[-1])); time.sleep(3600)"
    part = Part("endless", (sys.executable, "-c", endless), is_tests=True)
    ran = Process(part, lambda *_: None)
    ran.run()
    assert ran.status == -9
    assert ran.failed


def test_a_process_over_its_limit_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LIMIT_SECONDS", 0.5)
    part = Part("slow", (sys.executable, "-c", "import time; time.sleep(3600)"), is_tests=True)
    ran = Process(part, lambda *_: None)
    ran.run()
    assert any("it took more than" in problem for problem in ran.problems)


def test_the_table_shows_what_a_host_lacks() -> None:
    skipped = [_test(name, "skipped", "needs sve") for name in ("b", "c")]
    lines = summary.table([_process("host one", _record(GOOD, *skipped))]).splitlines()
    assert lines[1].split() == [
        *("host", "one", "1", "0", "2", "0.0", "6.12.107+deb13-arm64", "sve", "(2)")
    ]


@pytest.mark.parametrize("part", parts.on_emulated_hosts(), ids=lambda part: str(part.name))
def test_a_host_becomes_the_labs_options_and_back(part: Part) -> None:
    from tests.lab import cli

    [words] = [word for word in part.command if word.startswith("--lab")]
    assert words.startswith("--lab=")  # what begins with a dash cannot be a word of its own
    options = ["run", *words.removeprefix("--lab=").split(), "--", "true"]
    assert cli._shape(cli._parser().parse_args(options)) == part.shape


def test_every_host_of_the_lab_takes_part() -> None:
    assert [str(part.shape) for part in parts.on_emulated_hosts()] == list(map(str, ALL_SHAPES))


def test_a_silent_host_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOGS", tmp_path / "logs")
    script = (
        "import pathlib, sys; mark = pathlib.Path(sys.argv[1])\n"
        f"print('broke off {lab_run.WENT_SILENT} of 300 s') if not mark.exists() else None\n"
        "first = not mark.exists(); mark.touch(); sys.exit(first)\n"
    )
    words = (sys.executable, "-c", script, str(tmp_path / "mark"))
    ran = process.Process(Part("a host", words, shape=Shape()), lambda *_: None)
    ran.run()
    assert ran.went_silent
    assert ran.failed == 1
    ran.repeat()
    assert not ran.went_silent
    assert ran.failed == 0
    assert (tmp_path / "logs" / "a-host.silent.log").exists()
