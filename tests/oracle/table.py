# SPDX-License-Identifier: Apache-2.0
"""How many facts of each kind there are, and how many were compared with whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.oracle.compare import Comparison
from tests.oracle.facts import Fact, Kind


def table(declared: Iterable[Fact], results: Iterable[Comparison]) -> str:
    """One row for what is declared, and one for each kernel's headers."""
    rows = [["", *(f"{kind.name.lower()}s" for kind in Kind), "absent", "wrong"]]
    rows.append(["declared", *_counts(declared), "", ""])
    for result in results:
        outcome = [str(len(result.absent)), str(len(result.failures))]
        rows.append([str(result.headers), *_counts(result.compared), *outcome])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    )


def _counts(facts: Iterable[Fact]) -> list[str]:
    counted = Counter(fact.kind for fact in facts)
    return [str(counted[kind]) for kind in Kind]
