# SPDX-License-Identifier: Apache-2.0
"""The table of all parts, what is wrong, and the last line."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from tests.runner.process import Process
from tests.runner.verdict import Verdict

_HEADINGS = ("", "passed", "failed", "skipped", "seconds", "kernel", "skipped for want of")

_MOST_NAMED = 20


def _row(process: Process) -> tuple[str, ...]:
    tally, seconds = process.tally, f"{process.seconds:.1f}"
    if not process.part.is_tests:
        return (
            process.part.name,
            str(int(not process.failed)),
            str(process.failed),
            "",
            seconds,
            "",
            "",
        )
    wanting = Counter(tally.missed.values()).most_common()
    return (
        process.part.name,
        str(tally.counts["passed"]),
        str(process.failed),
        str(tally.counts["skipped"]),
        seconds,
        str(tally.host.get("kernel", "?")),
        ", ".join(f"{name} ({count})" for name, count in wanting),
    )


def _shortened(names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMED
    return [f"  {name}" for name in names[:_MOST_NAMED]] + [f"  … and {more} more"] * (more > 0)


def table(processes: Sequence[Process]) -> str:
    """One line for each part."""
    rows = [_HEADINGS, *map(_row, processes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if 1 <= index <= 4 else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def troubles(processes: Sequence[Process]) -> str:
    """What went wrong where, with the end of each such part's own words."""
    lines = []
    for process in processes:
        if process.failed:
            lines += ["", f"==== {process.part.name}: {os.path.relpath(process.log)}"]
            lines += [process.log_end()]
    for process in processes:
        failures = [nodeid for nodeid, what in process.tally.results.items() if what == "failed"]
        if process.failed:
            lines.append(f"FAILED {process.part.name}:")
            lines += _shortened([*process.problems, *failures])
    return "\n".join(lines)


def gaps(verdict: Verdict) -> str:
    """The tests that did not run."""
    lines = [f"FAILED nowhere: no host ran {nodeid}" for nodeid in verdict.nowhere]
    lines += [f"FAILED interface: {trouble}" for trouble in verdict.interface]
    if verdict.excused:
        lines.append(f"{len(verdict.excused)} tests want a host that was not part of this run:")
        lines += _shortened(verdict.excused)
    return "\n".join(lines)


def last_line(verdict: Verdict) -> str:
    """The sums, in the plain form that machines read."""
    return f"{verdict.passed} passed, {verdict.failed} failed, {verdict.skipped} skipped"
