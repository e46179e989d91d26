# SPDX-License-Identifier: Apache-2.0
"""What was measured, side by side."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table


class Row(enum.Enum):
    """What is measured: its name, unit, and digits worth showing."""

    START = "start to /init", "s", 2
    IMPORTS = "- Python and imports", "s", 2
    SET_UP = "- set-up", "s", 2
    GUEST = "- guest", "s", 2
    LETTERS = "letters to the console", "KiB/s", 2
    LARGE = "virtio-blk, 1 MiB after 1 MiB", "MiB/s", 0
    SMALL = "virtio-blk, 4 KiB after 4 KiB", "/s", 0
    RANDOM = "virtio-blk, random 4 KiB", "/s", 0
    BOTH_CPUS = "two CPUs count, over one", "", 2
    SLOWER_CPU = "- the slower of the two", "", 2
    IDLE = "idle guest's CPU time, 10 s", "% of a core", 2

    def show(self, number: float) -> str:
        _, unit, digits = self.value
        return f"{number:.{digits}f} {unit}".rstrip()


Found = Mapping[Row, float]


def table(results: Mapping[str, Sequence[Found]]) -> Table:
    """Medians of what each VMM came to, and ours over the peer's."""
    shown = Table(title="pykvm's minimal VMM beside QEMU, medians", box=box.SIMPLE, pad_edge=False)
    shown.add_column("", no_wrap=True)
    for column in (*results, "ratio"):
        shown.add_column(column, justify="right")
    for row in Row:
        medians = [
            statistics.median(values) if (values := [f[row] for f in founds if row in f]) else None
            for founds in results.values()
        ]
        theirs, ours = medians
        ratio = f"{ours / theirs:.2f}" if theirs and ours is not None else ""
        cells = ["" if number is None else row.show(number) for number in medians]
        shown.add_row(row.value[0], *cells, ratio)
    return shown
