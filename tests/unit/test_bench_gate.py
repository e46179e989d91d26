# SPDX-License-Identifier: Apache-2.0
"""The gate of the bench: what is kept, and what fails against it; and the picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench import check, gate
from tests.bench.picture import draw
from tests.bench.results import Result, results
from tests.bench.rows import ROWS
from tests.unit.test_bench import _found

_ROW = "get_one_reg"


def _changed(factor: float, form: str = "pykvm") -> list[Result]:
    """A good run in which one row costs ``factor`` times what it did."""
    found = _found(0.5)
    rounds = found["rows"][_ROW]
    rounds[form] = [factor * cost for cost in rounds[form]]
    return results(found)


_BASELINE = gate.ratios(_changed(1.0))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "baselines.json"
    file.write_text("{}")
    monkeypatch.setattr(gate, "FILE", file)
    for function in (gate.kept, gate.keep):
        monkeypatch.setattr(function, "__defaults__", (file,))
    return file


@pytest.mark.parametrize("form", ["pykvm", "bound"])
def test_a_row_that_is_two_percent_dearer_is_named_alone(form: str) -> None:
    assert gate.dearer(_changed(1.019, form), _BASELINE) == []
    (found,) = gate.dearer(_changed(1.03, form), _BASELINE)
    assert (found.row, found.form) == (_ROW, form)
    assert str(found).endswith(": +3.0%")


def test_what_is_cheaper_or_new_is_no_fault_and_is_to_be_kept() -> None:
    assert gate.dearer(_changed(0.9), _BASELINE) == []
    assert gate.differs(_changed(0.9), _BASELINE)
    assert not gate.differs(_changed(0.99), _BASELINE)
    fewer = {name: forms for name, forms in _BASELINE.items() if name != _ROW}
    assert gate.dearer(_changed(2.0), fewer) == []
    assert gate.differs(_changed(1.0), fewer)


def test_what_is_kept_is_found_by_its_versions(file: Path) -> None:
    key = gate.key_of(_found())
    assert key == "qemu 1, kernel 1, python 1, cffi 1, gcc 1"
    assert gate.kept(key, file) is None
    gate.keep(key, _BASELINE, file)
    gate.keep("others", {}, file)
    assert gate.kept(key, file) == _BASELINE
    assert gate.kept("others", file) == {}


def test_what_the_tree_keeps_is_whole() -> None:
    every = json.loads(gate.FILE.read_text(encoding="utf-8"))
    assert every
    for key, rows in every.items():
        assert [part.split()[0] for part in key.split(", ")] == list(gate._VERSIONS)
        for row in ROWS:
            assert set(rows[row.name]) == {"pykvm", "bound"} & set(row.statements), row.name


def _checked(monkeypatch: pytest.MonkeyPatch, *runs: dict[str, Any]) -> Callable[..., int]:
    """The command, with these runs in place of counted ones."""
    left = list(runs)
    monkeypatch.setattr(check, "counted", lambda *_, **__: left.pop(0))

    def command(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["check", *words])
        return check.main()

    return command


def _run(factor: float = 1.0) -> dict[str, Any]:
    found = _found(0.5)
    rounds = found["rows"][_ROW]
    rounds["pykvm"] = [factor * cost for cost in rounds["pykvm"]]
    return found


def test_unknown_versions_are_judged_by_ceilings_and_proposed(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = _checked(monkeypatch, _run(), _run(), _run(1.03), _found(1.01))
    assert command() == 0
    told = capsys.readouterr().out
    assert "Nothing is kept for these versions" in told
    assert '"get_one_reg": {' in told
    assert command("--keep") == 0
    assert gate.kept(gate.key_of(_run()), file)
    capsys.readouterr()
    assert command() == 1
    assert f"FAILED: {_ROW} costs " in capsys.readouterr().out
    file.write_text("{}")
    assert command() == 1


@pytest.mark.parametrize(
    ("slowed", "status"), [(_run(1.03), 0), (_run(1.01), 1), (_found(0.52), 1)]
)
def test_the_proof_holds_only_if_exactly_that_row_is_named(
    slowed: dict[str, Any],
    status: int,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    runs = [_run(), slowed]

    def counted(*_: object, slower: str, **__: object) -> dict[str, Any]:
        asked.append(slower)
        return runs.pop(0)

    monkeypatch.setattr(check, "counted", counted)
    monkeypatch.setattr("sys.argv", ["check", "--prove", _ROW])
    assert check.main() == status
    cost = 1000 * 0.5 * next(row.ceiling for row in ROWS if row.name == _ROW)  # type: ignore[operator]
    assert asked == ["", f"get_one_reg:{round(cost * 0.03)}"]


def test_the_picture_shows_every_row() -> None:
    found = _found()
    drawn = draw(results(found), found["versions"])
    tree = ElementTree.fromstring(drawn)  # noqa: S314 - made here
    texts = {element.text for element in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert {row.name for row in ROWS} <= texts
