# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a wheel is found; that a good one is found good, making one shows."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

import pykvm
from tests.runner import parts
from tests.runner.__main__ import _chosen
from tests.wheels import audit
from tests.wheels.build import architectures

OWN = platform.machine()
OTHER = "x86_64" if OWN == "aarch64" else "aarch64"
METADATA = f"""\
Name: pykvm-arm64
Version: {pykvm.__version__}
License-Expression: Apache-2.0
Requires-Python: >=3.11
Description-Content-Type: text/markdown
Requires-Dist: cffi>=1.15
Requires-Dist: rich>=13
Requires-Dist: ruff; extra == "dev"
"""


def test_a_wheel_holds_the_package_and_nothing_else() -> None:
    expected = audit.expected_files()
    info = f"pykvm_arm64-{pykvm.__version__}.dist-info"
    assert {
        "pykvm/vm.py",
        "pykvm/_kvm.pyi",
        "pykvm/py.typed",
        f"{info}/licenses/LICENSE",
    } < expected
    assert {Path(name).parts[0] for name in expected} == {"pykvm", info}
    assert list(audit.contents({*expected, "pykvm/"}, expected)) == []


@pytest.mark.parametrize("name", ["pykvm/py.typed", "pykvm/_kvm.pyi", audit.MODULE])
def test_a_missing_file_is_named(name: str) -> None:
    expected = audit.expected_files()
    assert list(audit.contents(expected - {name}, expected)) == [f"it lacks {name}"]


def test_a_file_too_many_is_named() -> None:
    expected = audit.expected_files()
    (problem,) = audit.contents({*expected, "tests/conftest.py"}, expected)
    assert problem.startswith("tests/conftest.py ")


def test_metadata_is_that_of_the_project() -> None:
    assert list(audit.metadata(METADATA.encode())) == []


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("Requires-Dist: cffi>=1.15\n", ""),
        ('; extra == "dev"', ""),
        (">=3.11", ">=3.12"),
        (pykvm.__version__, "99"),
        ("Apache-2.0", "MIT"),
        ("pykvm-arm64", "pykvm"),
    ],
)
def test_other_metadata_is_a_problem(line: str, instead: str) -> None:
    assert METADATA.count(line) == 1
    assert len(list(audit.metadata(METADATA.replace(line, instead).encode()))) == 1


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library for this machine, with nothing wrong."""
    return _link(tmp_path)


def _link(folder: Path, *words: str) -> Path:
    made = folder / "made.so"
    command: list[str | Path] = ["gcc", "-shared", "-x", "c", *words, "-o", made, "-"]
    subprocess.run(command, input=b"int answer = 42;", check=True)
    return made


def test_a_module_is_for_its_architecture(library: Path) -> None:
    assert list(audit.elf(library, OWN)) == []
    (problem,) = audit.elf(library, OTHER)
    assert problem.endswith(f", not {OTHER}")


@pytest.mark.parametrize("kind", ["enable", "disable"])
def test_a_module_that_looks_into_our_folders_is_a_problem(tmp_path: Path, kind: str) -> None:
    module = _link(tmp_path, f"-Wl,-rpath,/home/somebody/lib,--{kind}-new-dtags")
    (problem,) = audit.elf(module, OWN)
    assert "/home/somebody/lib" in problem


def _told(tag: str, glibc: str = "GLIBC_2.17") -> dict[str, Any]:
    return {"overall_tag": tag, "versioned_symbols": {"libc.so.6": [glibc]}}


def test_a_platform_tag_is_the_auditors() -> None:
    tags = {"manylinux2014_aarch64", "manylinux_2_17_aarch64"}
    assert list(audit.platform_tags(tags, _told("manylinux_2_17_aarch64"), "aarch64")) == []
    told = _told("manylinux_2_5_x86_64", "GLIBC_2.2.5")
    assert list(audit.platform_tags({"manylinux_2_5_x86_64"}, told, "x86_64")) == []


@pytest.mark.parametrize(
    ("tags", "told", "word"),
    [
        ({"manylinux_2_17_aarch64"}, _told("manylinux_2_12_aarch64"), "auditwheel says"),
        ({"linux_aarch64"}, _told("linux_aarch64"), "no manylinux"),
        ({"manylinux_2_17_x86_64"}, _told("manylinux_2_17_x86_64"), "no manylinux on aarch64"),
        (
            {"manylinux_2_34_aarch64"},
            _told("manylinux_2_34_aarch64", "GLIBC_2.32"),
            "newer than 2.17 (libc.so.6: ['GLIBC_2.32'])",
        ),
    ],
)
def test_another_platform_tag_is_a_problem(tags: set[str], told: dict[str, Any], word: str) -> None:
    (problem,) = audit.platform_tags(tags, told, "aarch64")
    assert word in problem


def test_this_machines_own_wheel_comes_first() -> None:
    assert architectures()[0] == OWN
    assert "aarch64" in architectures()


def test_the_long_part_runs_only_if_named() -> None:
    every = parts.checks() + parts.wheels()
    assert "wheels" in [part.name for part in _chosen(every, [])]
    assert "bare-venv" not in [part.name for part in _chosen(every, [])]
    assert [part.name for part in _chosen(every, ["bare-*"])] == ["bare-venv"]
