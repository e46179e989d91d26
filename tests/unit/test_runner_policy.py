# SPDX-License-Identifier: Apache-2.0
"""The only way to skip a test is a property that the host lacks."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.needs import property_in
from tests.plugin.tiers import TIERS

TOP = Path(__file__).resolve().parents[2]
LACKING = "x86_64" if platform.machine() == "aarch64" else "arm64"
Outcomes = dict[str, tuple[str, str]]

SAMPLE = f"""
import pytest

@pytest.mark.needs("{LACKING}")
def test_lacking(): raise AssertionError("this host cannot do it")

@pytest.mark.needs("{LACKING}")
@pytest.mark.needs("pages_4k", "pages_16k")
def test_lacking_several(): raise AssertionError("this host cannot do it")

def test_lacking_found_late(): pytest.skip("needs {LACKING}")

def test_whim(): pytest.skip("not today")

def test_pretext(): pytest.skip("needs {platform.machine()}")

@pytest.mark.skip
def test_marked(): pass

@pytest.mark.skipif(True, reason="never")
def test_conditional(): pass

@pytest.mark.xfail(reason="known")
def test_known_bug(): assert False

@pytest.fixture
def unwilling(): pytest.skip("no")

def test_fixture(unwilling): pass

def test_plain(): pass
"""
UNWILLING_MODULE = 'import pytest\npytest.skip("all of it", allow_module_level=True)\n'


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, str, Outcomes]]:
    """Runs pytest, with what this project adds to it, on files that are given by their paths."""

    def run(**files: str) -> tuple[int, str, Outcomes]:
        (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests/conftest.py").write_text((TOP / "tests/conftest.py").read_text())
        for name, text in files.items():
            path = tmp_path / f"tests/{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        record = tmp_path / "record"
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "--host", "native", "--record", record, "tests"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(TOP), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return ended.returncode, ended.stdout + ended.stderr, _outcomes(record)

    return run


def _outcomes(record: Path) -> Outcomes:
    """Of each test its worst outcome, and why."""
    found: Outcomes = {}
    for line in record.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "report":
            report = event["report"]
            name = report["nodeid"].rpartition("::")[2]
            if report["outcome"] != "passed" or name not in found:
                found[name] = (report["outcome"], str(report["longrepr"]))
    return found


def test_only_a_property_that_the_host_lacks_skips(
    run: Callable[..., tuple[int, str, Outcomes]],
) -> None:
    status, output, outcomes = run(unit__test_sample=SAMPLE)
    assert status == 1, output
    skipped = {name for name, (outcome, _) in outcomes.items() if outcome == "skipped"}
    passed = {name for name, (outcome, _) in outcomes.items() if outcome == "passed"}
    assert skipped == {"test_lacking", "test_lacking_several", "test_lacking_found_late"}
    assert passed == {"test_plain"}
    failed = {name: why for name, (outcome, why) in outcomes.items() if outcome == "failed"}
    assert len(failed) == 6
    for why in failed.values():
        assert "lacks what it needs" in why
    assert "not today" in failed["test_whim"]
    assert "known" in failed["test_known_bug"]


def test_a_module_that_skips_itself_fails(run: Callable[..., tuple[int, str, Outcomes]]) -> None:
    status, output, outcomes = run(unit__test_sample=UNWILLING_MODULE)
    assert status != 0
    assert outcomes["tests/unit/test_sample.py"][0] == "failed", output
    assert "all of it" in output


def test_an_unknown_property_is_an_error(run: Callable[..., tuple[int, str, Outcomes]]) -> None:
    sample = 'import pytest\n@pytest.mark.needs("vgicv9")\ndef test_it(): pass\n'
    status, output, _ = run(unit__test_sample=sample)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "'vgicv9'" in output
    assert "vgicv3" in output


def test_a_test_outside_the_tiers_is_an_error(
    run: Callable[..., tuple[int, str, Outcomes]],
) -> None:
    status, output, _ = run(elsewhere__test_sample="def test_it(): pass\n")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "tests/elsewhere/test_sample.py::test_it" in output


def test_every_test_file_of_this_tree_is_in_a_tier() -> None:
    files = [path.relative_to(TOP / "tests") for path in TOP.glob("tests/**/test_*.py")]
    assert files
    assert [path for path in files if path.parts[0] not in TIERS] == []


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("Skipped: needs vgicv2", "vgicv2"),
        ("Skipped: needs vgicv9", None),
        ("needs vgicv2", None),
        ("Skipped: vgicv2", None),
        ("Skipped: needs vgicv2 and luck", None),
    ],
)
def test_the_reason_names_the_property(reason: str, name: str | None) -> None:
    assert property_in(reason) == name
