# SPDX-License-Identifier: Apache-2.0
"""A report as a person wants to see it, on 80 columns too: the verdict, then what to decide."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pykvm.probe.about import ABOUT, GROUPS
from pykvm.probe.facts import Fact
from pykvm.probe.report import Reason, Report
from pykvm.probe.words import host_lines, shown, verdict

__all__ = ["Signs", "blocks", "console_for", "show", "signs_for"]

_NAME_WIDTH = 24
_VALUE_WIDTH = 13
_INDENT = 4
#: What people look for once they have a name for it, and never before.
_ONLY_VERBOSE = (
    "api_version", "vcpu_mmap_size", "vcpu_ids", "vm_attributes", "vcpu_attributes",
    "hypercall_bitmaps",
)  # fmt: skip
_STYLES = {"value": "green", "no": "yellow", "failed": "bold red"}


class Signs(NamedTuple):
    """What goes before a line, and how tables are drawn."""

    value: str
    no: str
    failed: str
    box: box.Box
    panel: box.Box

    def of(self, fact: Fact) -> Text:
        return Text(getattr(self, fact.state), _STYLES[fact.state])


_UNICODE = Signs("✔", "–", "✘", box.SIMPLE_HEAD, box.ROUNDED)
_ASCII = Signs("+", "-", "!", box.ASCII, box.ASCII)


def signs_for(console: Console, *, ascii: bool) -> Signs:
    """Plain ones where they are asked for, or where the terminal could not show others."""
    return _ASCII if ascii or not console.encoding.lower().startswith("utf") else _UNICODE


def console_for(*, record: bool = False, width: int | None = None) -> Console:
    """A console for stdout that colours nothing but what this module says."""
    return Console(highlight=False, emoji=False, record=record, width=width, file=sys.stdout)


def show(
    report: Report,
    console: Console | None = None,
    *,
    verbose: bool = False,
    ascii: bool = False,
) -> None:
    """Prints a report; ``verbose`` also every capability, trial and register, and all sources."""
    console = console or console_for()
    signs = signs_for(console, ascii=ascii)
    for block in blocks(report, signs, verbose=verbose, width=console.width):
        console.print(block)
    if verbose:
        from pykvm.probe.showall import all_blocks

        for block in all_blocks(report, signs, console.width):
            console.print(block)


def blocks(report: Report, signs: Signs, *, verbose: bool, width: int) -> Iterator[RenderableType]:
    """The verdict, and one block for each group of decisions."""
    good, sentence = verdict(report)
    style = "green" if good else "red"
    yield Panel(
        Text(sentence, "bold"), box=signs.panel, border_style=style, width=min(width, 100),
        title=Text(f"pykvm {report.pykvm} probe", style), title_align="left",
    )  # fmt: skip
    for gap in sorted(report.gaps, key=lambda gap: gap.what not in sentence):
        if gap.what not in sentence:
            yield Text(f"Missing: {gap.what}", "yellow")
        yield from _gap(Reason(gap.why, gap.remedy))
    for group, title in GROUPS.items():
        facts = dict(_of_group(report, group, verbose))
        if group == "host" and not verbose:
            yield from map(Text, ("", *host_lines(report)))
        if not facts:
            continue
        yield Text(f"\n{title}", "bold")
        if group == "selftest":
            yield from _selftest(report, signs)
            continue
        for name, fact in facts.items():
            yield _line(name, fact, signs, width, verbose)
            if group != "host" and fact.state != "value" and not _hopeless(report):
                yield _reason(report.reason(name))


def _of_group(report: Report, group: str, verbose: bool) -> Iterator[tuple[str, Fact]]:
    if group == "selftest" and report.selftest is None:
        return
    if not verbose and (group == "host" or _hopeless(report)):
        return  # said in a line or two
    for name, fact in report.facts.items():
        about = ABOUT.get(name)
        if about is None or about.group != group:
            continue
        if not verbose:
            if name in _ONLY_VERBOSE or (about.of and not report.facts[about.of].yes):
                continue
            if _elsewhere(report) and fact.state == "no":
                continue
        yield name, fact


def _hopeless(report: Report) -> bool:
    """Nothing could be asked: why, is said once."""
    return not report.facts["vm"].yes


def _elsewhere(report: Report) -> bool:
    return report.facts["machine"].value != "aarch64"


def _line(name: str, fact: Fact, signs: Signs, width: int, verbose: bool) -> RenderableType:
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=_NAME_WIDTH, no_wrap=True)
    words = fact.errno if fact.state == "failed" else shown(name, fact)
    told = Text(words or "", "" if fact.yes else _STYLES[fact.state])
    line.add_column(width=max(_VALUE_WIDTH, (width - _NAME_WIDTH) // 5), overflow="fold")
    line.add_column(overflow="fold")
    line.add_row(signs.of(fact), name, told, ABOUT[name].meaning)
    rows: list[RenderableType] = [Padding(line, (0, 0, 0, 1), expand=False)]
    if verbose:
        if (whole := shown(name, fact, whole=True)) != str(told) and fact.yes:
            rows.append(Padding(Text(whole, "cyan"), (0, 0, 0, _INDENT), expand=False))
        rows.append(Padding(Text(fact.source, "dim"), (0, 0, 0, _INDENT), expand=False))
    return Group(*rows)


def _reason(reason: Reason) -> RenderableType:
    words = reason.why + (f" Remedy: {reason.remedy}" if reason.remedy else "")
    return Padding(Text(words, "dim"), (0, 0, 0, _INDENT), expand=False)


def _selftest(report: Report, signs: Signs) -> Iterator[RenderableType]:
    from pykvm.probe.showall import selftest_table

    yield selftest_table(report, signs)
    checks = report.selftest or ()
    reasons = (f"{c.failure}: {c.why}" if c.failure else c.why for c in checks if c.why)
    yield from (Text(reason) for reason in dict.fromkeys(reasons))


def _gap(reason: Reason) -> Iterator[RenderableType]:
    for words in (reason.why, reason.remedy and f"Remedy: {reason.remedy}"):
        if words:
            yield Padding(Text(words), (0, 0, 0, _INDENT), expand=False)
