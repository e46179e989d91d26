# SPDX-License-Identifier: Apache-2.0
"""What all parts together come to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tests.runner.process import Process


class Verdict(NamedTuple):
    """The sums, and the tests that no host ran."""

    passed: int
    failed: int
    skipped: int
    nowhere: list[str]
    """Tests that should have run somewhere and did not: each of them is in ``failed``."""
    excused: list[str]
    """Tests for hosts that this run does not include."""
    interface: Sequence[str] = ()
    """What is wrong with the table of the interface: each of them is in ``failed``."""


def judge(
    processes: Sequence[Process], beyond: Collection[str], interface: Sequence[str] = ()
) -> Verdict:
    """Adds up. ``beyond``: properties that no host of this run can have."""
    passed = failed = skipped = 0
    known: set[str] = set()
    ran: set[str] = set()
    missed: dict[str, set[str]] = {}
    for process in processes:
        failed += process.failed
        if not process.part.is_tests:
            passed += not process.problems
            continue
        tally = process.tally
        passed += tally.counts["passed"]
        skipped += tally.counts["skipped"]
        known.update(tally.collected)
        ran |= tally.ran
        for nodeid, name in tally.missed.items():
            missed.setdefault(nodeid, set()).add(name)
    nowhere: list[str] = []
    excused: list[str] = []
    for nodeid in sorted(known - ran):
        (excused if missed.get(nodeid, set()) & set(beyond) else nowhere).append(nodeid)
    failed += len(nowhere) + len(interface)
    return Verdict(passed, failed, skipped, nowhere, excused, interface)
