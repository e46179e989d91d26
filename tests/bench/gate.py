# SPDX-License-Identifier: Apache-2.0
"""The gate: has a row become dearer, compared with what is kept for these very versions?

Ratios to C move with QEMU, kernel, Python, cffi and compiler: baselines.json keeps them by these.
With versions that it does not know, only the ceilings decide, and what could be kept is proposed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.results import Result
from tests.bench.row import OURS

FILE = Path(__file__).with_name("baselines.json")
#: An unrelated edit moves a row by up to 0.3 %.
TOLERANCE = 0.02
_VERSIONS = ("qemu", "kernel", "python", "cffi", "gcc")

#: Ratios to C, by row and form.
Ratios = dict[str, dict[str, float]]


class Dearer(NamedTuple):
    """A row that costs more than what is kept for it."""

    row: str
    form: str
    ratio: float
    kept: float

    def __str__(self) -> str:
        by = self.ratio / self.kept - 1
        form = " (bound)" * (self.form == "bound")
        return f"{self.row}{form} costs {self.ratio:.3f} times C; it was {self.kept:.3f}: {by:+.1%}"


def key_of(found: Mapping[str, Any]) -> str:
    """The versions that figures belong to, as baselines.json names them."""
    return ", ".join(f"{name} {found['versions'][name]}" for name in _VERSIONS)


def ratios(listed: Sequence[Result]) -> Ratios:
    """What can be kept of a run."""
    return {
        result.name: {form: round(result.ratios[form], 4) for form in OURS if form in result.ratios}
        for result in listed
    }


def kept(key: str, file: Path = FILE) -> Ratios | None:
    """What is kept for these versions."""
    every: dict[str, Ratios] = json.loads(file.read_text(encoding="utf-8"))
    return every.get(key)


def keep(key: str, made: Ratios, file: Path = FILE) -> None:
    """Keeps it, in place of what was there for these versions."""
    every = json.loads(file.read_text(encoding="utf-8"))
    every[key] = made
    file.write_text(json.dumps(every, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def dearer(listed: Sequence[Result], baseline: Ratios) -> list[Dearer]:
    """The rows that cost more than before. A row that is new has nothing to be compared with."""
    found = []
    for result in listed:
        for form, before in baseline.get(result.name, {}).items():
            now = result.ratios.get(form)
            if now is not None and now > before * (1 + TOLERANCE):
                found.append(Dearer(result.name, form, now, before))
    return found


def differs(listed: Sequence[Result], baseline: Ratios) -> bool:
    """Whether what is kept is no longer what is measured: rows came or went, or became cheaper."""
    now = ratios(listed)
    return now.keys() != baseline.keys() or any(
        now[name].keys() != forms.keys()
        or any(now[name][form] < before * (1 - TOLERANCE) for form, before in forms.items())
        for name, forms in baseline.items()
    )
