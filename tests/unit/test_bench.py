# SPDX-License-Identifier: Apache-2.0
"""The bench's own parts: what it times is what it says, and its verdicts can fail."""

from __future__ import annotations

import ast
import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pykvm
from tests.bench import __main__ as command
from tests.bench import table
from tests.bench.baseline import NATIVE_COMPILER, Baseline, CompileError, compile_baseline
from tests.bench.measure import per_call, python_loop
from tests.bench.results import broken, results
from tests.bench.rows import ROWS, Row

_OWNERS = {
    "kvm": pykvm.Kvm,
    "vm": pykvm.VM,
    "vcpu": pykvm.Vcpu,
    "irqfd": pykvm.Irqfd,
    "event": pykvm.EventFd,
}


def _found(factor: float = 1.0) -> dict[str, Any]:
    """What ``measure`` would print if each call cost ``factor`` times its ceiling."""
    return {
        "versions": {"machine": "paper"},
        "iterations": 1000,
        "rows": {
            row.name: {
                "C": [1000.0, 1000.0, 4000.0],
                "pykvm": [1000.0 * factor * (row.ceiling or 9.0)] * 2 + [9e5],
                "standard": [5000.0] * 3,
                "ctypes": [7000.0] * 3,
            }
            for row in ROWS
        },
        "import": {"cpu_seconds": {"python": [0.01], "pykvm": [0.03]}, "rich": False},
    }


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    return Baseline(compile_baseline(tmp_path_factory.mktemp("bench"), NATIVE_COMPILER))


def test_c_makes_as_many_calls_as_it_says(baseline: Baseline) -> None:
    with pykvm.EventFd() as event:
        assert baseline.run("eventfd_write", 1234, event.fileno()) > 0
        assert event.read() == 1234


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_c_does_not_time_a_failing_call(baseline: Baseline, row: Row) -> None:
    no_descriptor = 2**32 - 1
    with pytest.raises(OSError, match=row.loop) as refusal:
        baseline.run(row.loop, 1000, no_descriptor, *(0 for _ in row.arguments[1:]))
    assert refusal.value.errno == errno.EBADF


def test_c_that_cannot_be_had_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="apt-get install"):
        compile_baseline(tmp_path, "no-such-compiler")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_time_public_methods(row: Row) -> None:
    call = ast.parse(row.pykvm, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Attribute)
    assert isinstance(call.func.value, ast.Name)
    owner = _OWNERS[call.func.value.id]
    assert not call.func.attr.startswith("_")
    assert callable(getattr(owner, call.func.attr))


def test_a_loop_runs_its_statement_n_times() -> None:
    calls: list[int] = []
    assert python_loop("calls.append(number)", {"calls": calls, "number": 7})(100) > 0
    assert calls == [7] * 100


def test_a_failing_statement_is_not_timed() -> None:
    with pytest.raises(ZeroDivisionError):
        python_loop("1 // nothing", {"nothing": 0})(1)


def test_forms_take_turns() -> None:
    order: list[str] = []

    def form(name: str) -> Callable[[int], float]:
        def loop(n: int) -> float:
            order.append(name)
            return 10.0 * n * len(order)

        return loop

    found = per_call({"C": form("C"), "pykvm": form("pykvm")}, iterations=1000, rounds=2)
    assert order == ["C", "pykvm"] * 2
    assert found == {"C": [10.0, 30.0], "pykvm": [20.0, 40.0]}


def test_a_result_is_the_median_of_its_rounds() -> None:
    found = _found()
    found["rows"]["plain ioctl"]["pykvm"] = [1500.0, 2500.0, 4000.0]
    plain = next(result for result in results(found) if result.name == "plain ioctl")
    assert (plain.costs["C"], plain.costs["pykvm"]) == (1000.0, 2500.0)
    assert plain.ratios["pykvm"] == 1.5  # of 1.5, 2.5, 1.0: round by round, not of the medians
    assert plain.verdict == "ok"


def test_a_ceiling_holds_up_to_itself() -> None:
    listed = results(_found())
    assert broken(listed) == []
    assert {each.verdict for each in listed if each.ceiling} == {"ok"}
    assert {each.verdict for each in listed if not each.ceiling} == {""}


def test_every_broken_ceiling_is_named() -> None:
    faults = broken(results(_found(1.01)))
    promised = [row for row in ROWS if row.ceiling]
    assert len(faults) == len(promised)
    for fault, row in zip(faults, promised, strict=True):
        assert fault.startswith(f"{row.name} costs ")
        assert str(row.ceiling) in fault


def test_a_row_that_was_not_measured_is_no_success() -> None:
    found = _found()
    del found["rows"]["irqfd inject"]
    assert broken(results(found)) == ["irqfd inject was not measured"]


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.01, 1)])
def test_the_exit_status_is_the_verdict(
    factor: float,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "counted", lambda words, folder: _found(factor))
    figures = tmp_path / "figures.json"
    monkeypatch.setattr("sys.argv", ["bench", "--only-counted", "--json", str(figures)])
    assert command.main() == status
    shown = capsys.readouterr().out
    assert all(row.name in shown for row in ROWS)
    assert ("BROKEN" in shown) == bool(status)
    assert json.loads(figures.read_text()) == {"counted": _found(factor)}


def test_what_cannot_be_measured_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ARM64_COMPILER", "no-such-compiler")
    monkeypatch.setattr("sys.argv", ["bench", "--only-counted"])
    assert command.main() == 2
    assert "no-such-compiler is not installed" in capsys.readouterr().err


def test_the_table_needs_no_rich(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = results(_found(1.01))
    table.print_calls(listed, "title", judged=True)
    rich_words = capsys.readouterr().out.replace("─", "").split()
    monkeypatch.setitem(sys.modules, "rich", None)
    table.print_calls(listed, "title", judged=True)
    assert capsys.readouterr().out.split() == rich_words
