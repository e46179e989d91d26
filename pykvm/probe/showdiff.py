# SPDX-License-Identifier: Apache-2.0
"""Differences between two hosts, for people."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pykvm.probe.diff import Difference
from pykvm.probe.show import signs_for

__all__ = ["show_differences"]

#: From here on, the longest name leaves room for the rest.
_WIDE = 70


def show_differences(
    found: tuple[Difference, ...], a: str, b: str, console: Console, *, ascii: bool = False
) -> None:
    """A table of them; ``a`` and ``b`` are the files' names."""
    signs = signs_for(console, ascii=ascii)
    table = Table(box=signs.box, pad_edge=False, expand=False)
    table.add_column("differs", no_wrap=console.width >= _WIDE)
    alike = Path(a).name == Path(b).name
    for place in (a, b):
        table.add_column(Text(place if alike else Path(place).name), overflow="fold")
    for difference in found:
        sign = "*" if difference.hidden else ""
        style = "" if difference.hidden else "yellow"
        cells = (difference.what + sign, difference.here, difference.there)
        table.add_row(*(Text(cell, style) for cell in cells))
    console.print(table)
    if any(difference.hidden for difference in found):
        console.print("* can be made what it was before the guest starts: the bits are writable")
