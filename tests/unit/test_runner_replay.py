# SPDX-License-Identifier: Apache-2.0
"""Tests that ran on another host appear here as they were; none is lost when that host is.

The other host is this machine: what is under test is the way there and back.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

CONFTEST = """
import sys
from tests.plugin import host, tiers
tiers.TIERS["kvm"] = ()
host.LAB = (sys.executable, "there.py")
pytest_plugins = ("tests.plugin.needs", "tests.plugin.record", "tests.plugin.host")
"""
# Takes the lab's words, and runs what follows them on this machine.
THERE = """
import os, sys
os.environ["PATH"] = os.path.dirname(sys.executable) + ":" + os.environ["PATH"]
os.environ["THERE"] = "1"
words = sys.argv[sys.argv.index("--") + 1 :]
os.execvp(words[0], words)
"""
NO_HOST = """
import sys
print("Kernel panic: no init found", file=sys.stderr)
sys.exit(125)
"""


def _run(folder: Path, sample: str, there: str = THERE, *words: str) -> tuple[int, str]:
    """What pytest says here about a file of tests that runs there."""
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (folder / "there.py").write_text(there)
    (folder / "tests/kvm").mkdir(parents=True)
    (folder / "tests/conftest.py").write_text(CONFTEST)
    (folder / "tests/kvm/test_sample.py").write_text(sample)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--host", "lab", *words],
        cwd=folder,
        env={"PYTHONPATH": str(TOP), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_results_output_and_tracebacks_come_back(tmp_path: Path) -> None:
    sample = """
import os, pytest

def test_there(): assert os.environ["THERE"]

def test_red(capfd):
    print("to stdout")
    os.system("echo to stderr >&2")
    with capfd.disabled():
        print("this would garble a record that shared a stream with it")
    found = [1, 2, 4]
    assert found == [1, 2, 3], "as I feared"

@pytest.mark.parametrize("word", ["a b", "[x]", "new\\nline", "ü"])
def test_odd_ids(word): pass

@pytest.fixture
def broken():
    yield
    raise OSError("the end of the fixture")

def test_teardown(broken): pass
"""
    status, output = _run(tmp_path, sample)
    assert status == 1
    assert "1 failed, 6 passed" in output
    for words in (
        "1 error",
        "assert [1, 2, 4] == [1, 2, 3]",
        "as I feared",
        "test_sample.py:12: AssertionError",
        "to stdout",
        "to stderr",
        "OSError: the end of the fixture",
    ):
        assert words in output, output


def test_a_host_that_does_not_start_fails_every_test(tmp_path: Path) -> None:
    status, output = _run(tmp_path, "def test_a(): pass\ndef test_b(): pass\n", NO_HOST)
    assert status == 1
    assert "2 failed" in output
    assert output.count("Kernel panic: no init found") >= 1
    assert "status 125" in output


def test_a_host_that_dies_fails_the_test_that_ran_and_all_after_it(tmp_path: Path) -> None:
    sample = """
import os, sys
def test_before(): pass
def test_deadly():
    print("last words", file=sys.__stderr__)
    os._exit(77)
def test_after(): pass
"""
    status, output = _run(tmp_path, sample)
    assert status == 1
    assert "2 failed, 1 passed" in output
    assert "FAILED tests/kvm/test_sample.py::test_deadly" in output
    assert "status 77" in output
    assert "did not run" in output


def test_a_host_that_falls_silent_is_ended(tmp_path: Path) -> None:
    sample = """
import time
from tests.plugin import lab_run
lab_run.SILENT_SECONDS = 2
def test_before(): pass
def test_endless(): time.sleep(3600)
"""
    status, output = _run(tmp_path, sample)
    assert status == 1
    assert "1 failed, 1 passed" in output
    assert "after a silence of 2 s" in output


def test_a_test_that_does_not_exist_there_fails(tmp_path: Path) -> None:
    sample = """
import os, pytest
@pytest.mark.parametrize("where", [os.environ.get("THERE", "here")])
def test_it(where): pass
def test_plain(): pass
"""
    status, output = _run(tmp_path, sample)
    assert status == 1
    assert "1 failed, 1 passed" in output
    assert "but not on the emulated host" in output


def test_a_file_that_cannot_be_collected_there_fails_with_the_reason(tmp_path: Path) -> None:
    sample = """
import os
if "THERE" in os.environ:
    import a_package_that_is_not_there
def test_it(): pass
"""
    status, output = _run(tmp_path, sample)
    assert status == 1
    assert "1 failed" in output
    assert "No module named 'a_package_that_is_not_there'" in output


def test_a_run_that_is_cut_short_ends_its_host(tmp_path: Path) -> None:
    sample = """
import os, pathlib, time
def test_red():
    pathlib.Path("pid").write_text(str(os.getpid()))
    assert False
def test_endless(): time.sleep(3600)
"""
    status, output = _run(tmp_path, sample, THERE, "--exitfirst")
    assert status == 1
    assert "1 failed" in output
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("words", [["-k", "chosen"], ["tests/kvm/test_sample.py::test_chosen"]])
def test_only_the_selected_tests_run_there(tmp_path: Path, words: list[str]) -> None:
    sample = """
import pathlib
def test_chosen(): pass
def test_other(): pathlib.Path("other").touch()
"""
    status, output = _run(tmp_path, sample, THERE, *words)
    assert status == 0, output
    assert "1 passed" in output
    assert not (tmp_path / "other").exists()
