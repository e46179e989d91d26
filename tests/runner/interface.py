# SPDX-License-Identifier: Apache-2.0
"""The interface, row by row: what a whole run has proven, and whether README.md says so."""

from __future__ import annotations

from collections.abc import Sequence

from tests.coverage import collect, render
from tests.coverage.kept import KEPT, README
from tests.lab.shapes import ALL_SHAPES
from tests.runner.process import Process


def judge(processes: Sequence[Process]) -> tuple[list[str], list[str]]:
    """Rows that lack a proof, and what to do about README.md.

    Nothing is asked of a run that lacks a host of the suite.
    """
    everyday = [each for each in processes if each.part.is_tests and not each.part.by_name]
    told = []
    for process in everyday:
        shape, proven = process.part.shape, process.tally.proven
        if shape is not None or process.part.name == "unit":
            collect.save(shape, proven, KEPT)
            told.append((shape, proven))
    if {None, *map(collect.host_name, ALL_SHAPES)} - {
        collect.host_name(shape) if shape else None for shape, _ in told
    }:
        return [], []
    coverage = collect.gather(told)
    troubles = [f"no test proves the row {row!r}" for row in collect.gaps(coverage)]
    text = README.read_text(encoding="utf-8")
    is_stale = render.replaced(text, coverage) != text
    notes = ["README.md's table of the interface is not today's: run `make coverage`"] * is_stale
    return troubles, notes
