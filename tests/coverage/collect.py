# SPDX-License-Identifier: Apache-2.0
"""What the hosts of a run have proven, and what no test has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.coverage.rows import ROWS
from tests.lab.shapes import ALL_SHAPES, Shape

__all__ = ["Coverage", "Proof", "gaps", "gather", "host_name", "load", "save"]


class Proof(NamedTuple):
    """A test that proved a row, and the hosts where it did."""

    test: str
    hosts: tuple[str, ...]


Coverage = Mapping[str, tuple[Proof, ...]]


def gather(told: Iterable[tuple[Shape | None, Mapping[str, Iterable[str]]]]) -> Coverage:
    """The proofs of each row, from what each host's tests have proven, by test.

    Without a shape it is what tests proved that need no host.
    """
    found: dict[str, dict[str, list[str]]] = {row: {} for row in ROWS}
    for shape, by_test in told:
        for test, rows in by_test.items():
            for row in rows:
                hosts = found[row].setdefault(test, [])
                hosts += [host_name(shape)] if shape else []
    return {
        row: tuple(Proof(test, tuple(hosts)) for test, hosts in sorted(tests.items()))
        for row, tests in found.items()
    }


def host_name(shape: Shape) -> str:
    """A host of the test suite in a few words."""
    words = [shape.kernel, f"v{shape.gic}", shape.cpu]
    words += [shape.page_size] if shape.page_size != "4k" else []
    words += [option for option in shape.machine_options if option.startswith("mte")]
    words += [f"with {device}" for device in shape.devices[:1]]
    words += ["nested" for word in shape.append if "nested" in word]
    return " ".join(words)


def gaps(coverage: Coverage) -> list[str]:
    """The rows that no test has proven."""
    return [row for row in ROWS if not coverage.get(row)]


def save(shape: Shape | None, proven: Mapping[str, Iterable[str]], folder: Path) -> None:
    """Keeps what one host's tests have proven, for the table in README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    name = host_name(shape) if shape else "any"
    (folder / f"{name}.json").write_text(json.dumps(proven, indent=1), encoding="utf-8")


def load(folder: Path) -> tuple[Coverage, list[str]]:
    """What was kept, of every host's latest run; and the hosts that have left nothing."""
    told: list[tuple[Shape | None, Mapping[str, Iterable[str]]]] = []
    missing = []
    for shape in (None, *ALL_SHAPES):
        name = host_name(shape) if shape else "any"
        try:
            text = (folder / f"{name}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            missing.append(name)
        else:
            told.append((shape, json.loads(text)))
    return gather(told), missing
