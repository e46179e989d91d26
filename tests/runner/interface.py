# SPDX-License-Identifier: Apache-2.0
"""The interface, row by row: what a whole run has proven, and whether README.md says so."""

from __future__ import annotations

from collections.abc import Sequence

from tests.coverage import collect, render
from tests.coverage.kept import KEPT, README
from tests.lab.shapes import ALL_SHAPES
from tests.runner.process import Process


def judge(processes: Sequence[Process]) -> list[str]:
    """What is wrong with the table. Nothing is asked of a run that lacks a host of the suite."""
    everyday = [process for process in processes if not process.part.by_name]
    hosts = {collect.host_name(each.part.shape) for each in everyday if each.part.shape}
    if {collect.host_name(shape) for shape in ALL_SHAPES} - hosts:
        return []
    coverage = collect.gather((each.part.shape, each.tally.proven) for each in everyday)
    collect.save(coverage, KEPT)
    troubles = [f"no test proves the row {row!r}" for row in collect.gaps(coverage)]
    text = README.read_text(encoding="utf-8")
    if not troubles and render.replaced(text, coverage) != text:
        troubles.append("README.md's table of the interface is not today's: run `make coverage`")
    return troubles
