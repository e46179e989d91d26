# SPDX-License-Identifier: Apache-2.0
"""What the figures come to: one cost per form, its ratio to C, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench.rows import ROWS


@dataclass(frozen=True)
class Result:
    """One row, measured."""

    name: str
    ceilings: Mapping[str, float]
    """What was promised, by form."""
    costs: Mapping[str, float]
    """Of each form the cost of a call, the median of the rounds."""
    ratios: Mapping[str, float]
    """Of each form how many times C's cost it was, the median of the rounds."""
    spread: float
    """How far apart the rounds of C and pykvm were: the middle half, in parts of the median."""

    missed: Mapping[str, str]
    """The forms of which it is known that they cost more than that, and why."""

    @property
    def dear(self) -> list[str]:
        """The forms that cost more than promised, which was promised to two decimals."""
        return [form for form, most in self.ceilings.items() if round(self.ratios[form], 2) > most]

    @property
    def broken(self) -> list[str]:
        """Those of which nobody has said why."""
        return [form for form in self.dear if form not in self.missed]

    @property
    def verdict(self) -> str:
        """``ok``, ``missed`` if it is known why, ``BROKEN``; empty where nothing was promised."""
        if not self.ceilings:
            return ""
        return "BROKEN" if self.broken else "missed" if self.dear else "ok"


def _middle_half(rounds: Sequence[float]) -> float:
    ordered, cut = sorted(rounds), len(rounds) // 4
    return (ordered[len(ordered) - 1 - cut] - ordered[cut]) / median(ordered)


def results(found: Mapping[str, Any]) -> list[Result]:
    """From what ``measure`` printed. Rows that its machine does not have are left out."""
    listed = []
    for row in ROWS:
        if row.name not in found["rows"]:
            continue
        forms: dict[str, list[float]] = found["rows"][row.name]
        listed.append(
            Result(
                name=row.name,
                ceilings=row.ceilings,
                missed=dict(row.missed),
                costs={form: median(rounds) for form, rounds in forms.items()},
                ratios={
                    form: median(ours / c for ours, c in zip(rounds, forms["C"], strict=False))
                    for form, rounds in forms.items()
                },
                spread=max(_middle_half(forms[form]) for form in ("C", "pykvm")),
            )
        )
    return listed


def broken(counted: Sequence[Result]) -> list[str]:
    """What keeps the bench from passing, in words: ceilings broken, or not measured at all."""
    measured = {result.name: result for result in counted}
    faults = []
    for row in ROWS:
        if not row.ceilings:
            continue
        result = measured.get(row.name)
        if result is None:
            faults.append(f"{row.name} was not measured")
            continue
        faults += (
            f"{row.name}{' (bound)' * (form == 'bound')} costs {result.ratios[form]:.3f} times C; "
            f"its ceiling is {result.ceilings[form]}. tests/bench/README.md says how to find out "
            f"why"
            for form in result.broken
        )
    return faults
