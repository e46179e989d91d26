# SPDX-License-Identifier: Apache-2.0
"""The bench's own parts: what it times is what it says, and its verdicts can fail."""

from __future__ import annotations

import ast
import ctypes
import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pykvm
from pykvm._native import lib
from tests.bench import __main__ as command
from tests.bench import count, table
from tests.bench.baseline import NATIVE_COMPILER, Baseline, CompileError, compile_baseline
from tests.bench.measure import per_call, python_loop
from tests.bench.results import broken, results
from tests.bench.row import Row
from tests.bench.rows import ROWS

#: What the statements call methods of.
_OWNERS = {
    "kvm": pykvm.Kvm,
    "vm": pykvm.VM,
    "vcpu": pykvm.Vcpu,
    "knock": pykvm.Vcpu,
    "coal": pykvm.Vcpu,
    "bell": pykvm.Vcpu,
    "handled": pykvm.Vcpu,
    "latched": pykvm.Vcpu,
    "ringed": pykvm.Vcpu,
    "vgic": pykvm.VgicV3,
    "irqfd": pykvm.Irqfd,
    "event": pykvm.EventFd,
    "memory": pykvm.GuestMemory,
}
_FIRST, _PROMISED = ROWS[0], [row for row in ROWS if row.ceilings]


def _found(factor: float = 1.0) -> dict[str, Any]:
    """What ``measure`` would print if each call cost ``factor`` times its ceiling."""
    rows: dict[str, dict[str, list[float]]] = {}
    for row in ROWS:
        rows[row.name] = {"C": [1000.0, 1000.0, 4000.0]}
        for form in row.statements:
            cost = 1000.0 * factor * row.ceilings.get(form, 9.0)
            rows[row.name][form] = [cost, cost, 9e5]
        if row.rivals_once:
            rows[row.name]["standard"] = [5000.0]
    versions = dict.fromkeys(("qemu", "kernel", "python", "cffi", "gcc"), "1")
    return {
        "versions": versions,
        "iterations": 1000,
        "rows": rows,
        "import": {"cpu_seconds": {"python": [0.01], "pykvm": [0.03]}, "rich": False},
    }


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    return Baseline(compile_baseline(tmp_path_factory.mktemp("bench"), NATIVE_COMPILER))


def test_c_makes_as_many_calls_as_it_says(baseline: Baseline) -> None:
    with pykvm.EventFd() as event:
        assert baseline.run("eventfd_write", 1234, event.fileno()) > 0
        assert event.read() == 1234


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.arguments[0].endswith("_fd")], ids=lambda row: row.name
)
def test_c_does_not_time_a_failing_call(baseline: Baseline, row: Row) -> None:
    no_descriptor, word = 2**32 - 1, ctypes.c_uint64()
    others = [ctypes.addressof(word) if "address" in name else 1 for name in row.arguments[1:]]
    with pytest.raises(OSError, match=row.loop) as refusal:
        baseline.run(row.loop, 1000, no_descriptor, *others)
    assert refusal.value.errno == errno.EBADF


def test_c_that_cannot_be_had_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="apt-get install"):
        compile_baseline(tmp_path, "no-such-compiler")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_time_what_is_public(row: Row) -> None:
    calls = [node.func for node in ast.walk(ast.parse(row.pykvm)) if isinstance(node, ast.Call)]
    found = 0
    for call in calls:
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name):
            assert not call.attr.startswith("_")
            assert callable(getattr(_OWNERS[call.value.id], call.attr))
            found += 1
        elif isinstance(call, ast.Name) and call.id in pykvm.__all__ and call.id.islower():
            found += 1
    assert found >= 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_name_functions_that_exist(row: Row) -> None:
    assert not row.wrapper or hasattr(lib, row.wrapper)
    assert {form for form, _ in row.missed} <= set(row.ceilings) <= set(row.statements)


def test_no_two_rows_are_the_same_or_go_through_one_wrapper() -> None:
    for each in ("name", "wrapper"):
        names = [getattr(row, each) for row in ROWS if getattr(row, each)]
        assert len(set(names)) == len(names)


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
    assert order == ["C", "pykvm"] * 3  # each once before
    assert found == {"C": [30.0, 50.0], "pykvm": [40.0, 60.0]}
    found = per_call({"C": form("C")}, iterations=1000, rounds=1, calls=10)
    assert found == {"C": [8.0]}


def test_slow_rivals_take_part_once() -> None:
    order: list[str] = []

    def form(name: str) -> Callable[[int], float]:
        return lambda n: order.append(name) or 1.0  # type: ignore[func-returns-value]

    forms = {name: form(name) for name in ("C", "pykvm", "standard")}
    found = per_call(forms, iterations=10, rounds=3, once=True)
    assert {name: len(rounds) for name, rounds in found.items()} == {
        "C": 3, "pykvm": 3, "standard": 1,
    }  # fmt: skip
    assert order.count("standard") == 1


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
    assert {each.verdict for each in listed if each.ceilings} == {"ok"}
    assert {each.verdict for each in listed if not each.ceilings} == {""}
    assert table.missed_lines(listed) == []


def test_every_broken_ceiling_is_named_or_explained() -> None:
    listed = results(_found(1.01))
    faults, explained = broken(listed), table.missed_lines(listed)
    promised = [(row, form) for row in _PROMISED for form in row.ceilings]
    assert len(faults) + len(explained) == len(promised)
    for row, form in promised:
        shown = f"{row.name}{' (bound)' * (form == 'bound')}"
        if form in dict(row.missed):
            assert f"missed: {shown}: {dict(row.missed)[form]}" in explained
        else:
            fault = next(each for each in faults if each.startswith(f"{shown} costs "))
            assert str(row.ceilings[form]) in fault


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
    assert all(line in shown for line in table.missed_lines(results(_found(factor))))
    assert ("BROKEN" in shown) == bool(status)
    assert json.loads(figures.read_text()) == {"counted": _found(factor)}


def test_what_cannot_be_measured_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(count, "ARM64_COMPILER", "no-such-compiler")
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
