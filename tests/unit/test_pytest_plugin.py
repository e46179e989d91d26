# SPDX-License-Identifier: Apache-2.0
"""The plugin for other people's tests, in a pytest of its own."""

from __future__ import annotations

import mmap
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.lab.tree import TOP

_TESTS = """
import pytest

@pytest.mark.requires_kvm("page_size >= 4096", "not container or container")
def test_met():
    pass

@pytest.mark.requires_kvm("page_size < 4096")
def test_unmet():
    raise AssertionError

@pytest.mark.requires_kvm("cpus")
class TestBoth:
    @pytest.mark.requires_kvm("page_size == 1", "cpus")
    def test_both(self):
        raise AssertionError

def test_report(kvm_report):
    assert kvm_report.facts["cpus"].value > 0

def test_other():
    pass
"""


def pytest_run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_theirs.py").write_text(text, "utf-8")
    words = ("-p", "pykvm.pytest_plugin", "-p", "no:cacheprovider", "-rs", "--strict-markers")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, "test_theirs.py"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={"PYTHONPATH": str(TOP), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip


def test_what_is_not_met_is_skipped_with_the_reason(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, _TESTS)
    assert done.returncode == 0, done.stdout
    assert "3 passed, 2 skipped" in done.stdout
    assert f"KVM: page_size is {mmap.PAGESIZE}, not < 4096." in done.stdout
    assert "not == 1." in done.stdout


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ('"gicv33"', "did you mean gicv3"),
        ("", "takes one or more expressions"),
        ('device="x"', "takes one or more expressions"),
        ("5", "5 is to be compared with a name"),
    ],
)
def test_a_wrong_mark_is_an_error(tmp_path: Path, mark: str, words: str) -> None:
    text = f"import pytest\n\n@pytest.mark.requires_kvm({mark})\ndef test_it():\n    pass\n"
    done = pytest_run(tmp_path, text)
    assert done.returncode == 4
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_pytest_finds_it() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"pykvm": "pykvm.pytest_plugin"}


def test_the_host_is_not_asked_unless_a_test_requires_it(tmp_path: Path) -> None:
    done = pytest_run(
        tmp_path,
        "import sys\n\ndef test_it():\n    assert 'pykvm.probe' not in sys.modules\n",
    )
    assert "1 passed" in done.stdout
