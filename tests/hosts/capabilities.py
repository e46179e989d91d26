# SPDX-License-Identifier: Apache-2.0
"""The same capabilities, asked by a C program that knows the kernel's headers and not ours."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from pykvm.probe import Fact, Report
from tests.lab import cross
from tests.oracle import headers

__all__ = ["compiled", "disagreements"]

LAST = 400
_SOURCE = Path(__file__).with_name("capabilities.c")


def compiled(folder: Path) -> Path:
    """The program for arm64, from the newest kernel's headers."""
    (newest,) = (each for each in headers.every() if each.arch == "arm64" and each.newest)
    program = folder / "capabilities"
    places = [word for place in newest.folders for word in ("-isystem", str(place))]
    command = [str(cross.compiler()), "-static", "-O1", "-Wall", "-Werror", *places]
    subprocess.run([*command, f"-DLAST={LAST}", _SOURCE, "-o", program], check=True)
    return program


def disagreements(report: Report, answers: str) -> Iterator[str]:
    """Where the program's lines, ``number system vm``, are not what the report has."""
    lines = [tuple(map(int, line.split())) for line in answers.splitlines()]
    if [line[0] for line in lines] != list(range(LAST + 1)):
        yield f"the C program told {len(lines)} capabilities, not {LAST + 1}"
    told = {cap.number: cap for cap in report.capabilities}
    for number, system, vm in lines:
        cap = told.get(number)
        ours = (_number(cap.system), _number(cap.vm)) if cap else (0, 0)
        if ours != (system, vm):
            yield f"capability {number}: here {ours}, in C {(system, vm)}"


def _number(fact: Fact) -> int:
    if fact.state == "failed":
        return -22 if fact.errno == "EINVAL" else -1
    return fact.value if isinstance(fact.value, int) else 0
