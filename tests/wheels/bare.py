# SPDX-License-Identifier: Apache-2.0
"""A wheelhouse for the emulated host, and the run there that has nothing else."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tests.lab import native
from tests.lab.processes import run
from tests.lab.tree import TOP
from tests.wheels.inside import WHEELHOUSE

#: The minimal VMM wants a package that the wheel does not bring.
_TESTS = ("tests/arm64", "--ignore=tests/arm64/vmm")
_TIMEOUT_SECONDS = 1500
# Every tag of a C library up to Debian 12's: pip takes exactly those that it is told.
_PLATFORMS = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(17, 37)]


def wheelhouse(wheel: Path, into: Path) -> list[Path]:
    """Downloads all that the wheel's metadata asks for, pytest and pip, for the emulated host."""
    shutil.rmtree(into, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    python = native.python().version
    abis = [f"--abi={abi}" for abi in ("none", "abi3", f"cp{python.replace('.', '')}")]
    target = [f"--python-version={python}", "--implementation=cp", *abis, *_PLATFORMS]
    words: list[str | Path] = [
        "--only-binary=:all:",
        *target,
        "--dest",
        into,
        wheel,
        "pytest",
        "pip",
    ]
    run([*pip, *words], f"downloading wheels for arm64 and Python {python}")
    return sorted(into.iterdir())


def become_the_run(house: Path, record: Path, tests: Sequence[str] = _TESTS) -> NoReturn:
    """Goes on as the lab, so that signals reach it; its stdout is the record of the tests."""
    with open(record, "wb") as stream:
        os.dup2(stream.fileno(), 1)
    lab = [sys.executable, "-m", "tests.lab", "run", "--cold", "--no-install"]
    lab += ["--timeout", str(_TIMEOUT_SECONDS), "--file", f"{house}:{WHEELHOUSE}"]
    os.chdir(TOP)
    os.execv(sys.executable, [*lab, "--", "python3", "-m", "tests.wheels.inside", *tests])
