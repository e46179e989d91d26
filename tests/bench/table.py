# SPDX-License-Identifier: Apache-2.0
"""How the figures are shown: with rich where it is installed, plainly where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tests.bench.results import Result
from tests.bench.row import OURS, RIVALS

_STYLES = {"ok": "green", "missed": "yellow", "BROKEN": "bold red"}
_WIDTH = 132


def _cells(result: Result, *, judged: bool) -> list[str]:
    costs, ratios = result.costs, result.ratios
    row = [result.name, f"{costs['C']:,.0f}", f"{costs['pykvm']:,.0f}"]
    for form in OURS:
        row.append(f"{ratios[form]:.3f}" if form in ratios else "-")
        if judged:
            row.append(str(result.ceilings.get(form, "")))
    row += [result.verdict] if judged else []
    row += (f"{ratios[form]:.2f}" if form in ratios else "-" for form in RIVALS)
    return [*row, f"{result.spread:.1%}"]


def _print_plainly(title: str, lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}\n")
    for line in lines:
        first, *rest = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join([line[0].ljust(len(first)), *rest]))


def print_table(title: str, lines: Sequence[Sequence[str]]) -> None:
    """Prints lines of cells, the first of them the heads."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        _print_plainly(title, lines)
        return
    table = Table(
        title=title, title_justify="left", title_style="bold", pad_edge=False, box=box.SIMPLE_HEAD
    )
    for number, head in enumerate(lines[0]):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in line))
    # Wide enough for the whole table, also where there is no terminal.
    Console(width=max(Console().width, _WIDTH)).print(table)


def print_calls(listed: Sequence[Result], title: str, *, judged: bool) -> None:
    """The table of one run."""
    ceiling = ["ceiling"] if judged else []
    heads = ["call", "C", "pykvm", "pykvm/C", *ceiling, "bound/C", *ceiling]
    heads += ["verdict"] if judged else []
    heads += ["standard/C", "ctypes/C", "spread"]
    print_table(title, [heads, *(_cells(result, judged=judged) for result in listed)])


def missed_lines(listed: Sequence[Result]) -> list[str]:
    """Where the instructions go that a row costs beyond its ceiling."""
    return [
        f"missed: {result.name}{' (bound)' * (form == 'bound')}: {result.missed[form]}"
        for result in listed
        for form in result.dear
        if form in result.missed
    ]


def threads_line(found: Mapping[str, Any]) -> str:
    """How many exits a second threads get."""
    shown = ", ".join(f"{name} {rate:,.0f}" for name, rate in found["threads"].items())
    return f"exits per second, run(): {shown}"


def import_line(found: Mapping[str, Any], unit: str) -> str:
    """What ``import pykvm`` costs, in one line; ``unit`` is a name for a thousandth of a second."""
    seconds = {name: median(rounds) for name, rounds in found["import"]["cpu_seconds"].items()}
    python, ours = seconds["python"] * 1e3, seconds["pykvm"] * 1e3
    rich = "imports rich" if found["import"]["rich"] else "rich is not imported"
    return (
        f"import pykvm: {ours - python:.3g} {unit} of CPU beyond bare Python's {python:.3g}; {rich}"
    )


def versions_line(found: Mapping[str, Any]) -> str:
    """What the figures belong to."""
    shown = ", ".join(f"{name} {value}" for name, value in found["versions"].items())
    return f"{shown}; {found['iterations']:,} calls in each of {_rounds(found)} rounds"


def _rounds(found: Mapping[str, Any]) -> int:
    forms = next(iter(found["rows"].values()))
    return len(next(iter(forms.values())))
