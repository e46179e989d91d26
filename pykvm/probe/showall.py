# SPDX-License-Identifier: Apache-2.0
"""The long lists of a report: capabilities, trials, ID registers, the selftest's counts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pykvm.probe.facts import Fact
from pykvm.probe.report import Register, Report, Trial
from pykvm.probe.show import Signs

__all__ = ["all_blocks", "selftest_table"]

#: Below this, what a capability means goes under its name: beside it there is no room.
_WIDE = 110


def all_blocks(report: Report, signs: Signs, width: int) -> Iterator[RenderableType]:
    """Everything that facts are made of."""
    if report.capabilities:
        yield _capabilities(report, signs, width)
    if report.vcpu_features:
        yield Text("\nvCPU features, alone and in pairs (KVM_ARM_VCPU_INIT)", "bold")
        yield _matrix(report.vcpu_features, signs)
    if report.registers:
        yield Text("\nID registers of a guest; * can be changed", "bold")
        for register in report.registers:
            if line := _register(register):
                yield line


def selftest_table(report: Report, signs: Signs) -> RenderableType:
    """What the selftest counted, and how long each took."""
    table = _table(
        signs, "selftest", "result", "GIC", "sent", "taken", "ended", "rung", "median", "worst"
    )
    for check in report.selftest or ():
        counts = (check.gic, check.sent, check.taken, check.ended, check.rung)
        times = (us if us is None else f"{us} us" for us in (check.median_us, check.worst_us))
        style = {"passed": "green", "failed": "bold red"}.get(check.result, "yellow")
        told = Text(check.result.upper() if check.result != "impossible" else "-", style)
        shown = ("-" if count is None else str(count) for count in (*counts, *times))
        table.add_row(check.name, told, *shown)
    return table


def _table(signs: Signs, *columns: str, title: str | None = None) -> Table:
    return Table(*columns, title=title, box=signs.box, pad_edge=False, title_justify="left")


def _capabilities(report: Report, signs: Signs, width: int) -> RenderableType:
    wide = width >= _WIDE
    table = _table(signs, "capability", title="\nKVM_CHECK_EXTENSION")
    for column in ("number", "value", "since"):
        table.add_column(column, justify="right")
    if wide:
        table.add_column("meaning")
    for cap in report.capabilities:
        meaning = Text(cap.meaning, "dim")
        name = Text(cap.name or "unknown", "" if cap.system.yes or cap.vm.yes else "dim")
        numbers = (str(cap.number), _answers(cap.system, cap.vm), cap.since or "-")
        if wide:
            table.add_row(name, *numbers, meaning)
        else:
            table.add_row(Group(name, Padding(meaning, (0, 0, 0, 2), expand=False)), *numbers)
    return table


def _answers(system: Fact, vm: Fact) -> str:
    """The system's answer, and the VM's where that is another one."""
    told = [_answer(fact) for fact in (system, vm)]
    if told[0] == told[1]:
        return told[0]
    return f"VM {told[1]}" if system.state == "failed" else f"{told[0]}, VM {told[1]}"


def _answer(fact: Fact) -> str:
    """Numbers as they are, bit patterns in hexadecimal."""
    if fact.state == "failed":
        return fact.errno or "?"
    number = fact.value if isinstance(fact.value, int) else 0
    return str(number) if number < 1 << 17 else hex(number)


def _matrix(trials: tuple[Trial, ...], signs: Signs) -> RenderableType:
    alone = [trial.features[0] for trial in trials if len(trial.features) == 1]
    found = {frozenset(trial.features): trial.fact for trial in trials}
    table = _table(signs, "", *(str(number) for number in range(len(alone))))
    for row, name in enumerate(alone):
        facts = (found.get(frozenset((name, other))) for other in alone[: row + 1])
        marks = (signs.of(fact) if fact else Text("") for fact in facts)
        table.add_row(f"{row} {name}", *marks)
    return table


def _register(register: Register) -> RenderableType | None:
    if not register.value and not register.writable:
        return None
    line = Text.assemble((f" {register.name} ", "bold"), (f"{register.value:#x} ", "cyan"))
    if register.writable:
        line.append(f"writable {register.writable:#x}", "dim")
    fields = [
        f"{field.name}{'*' * bool(field.writable)}={field.value}"
        + (f" ({field.meaning})" if field.meaning else "")
        for field in register.fields
        if field.value or field.writable
    ]
    told = Padding(Text(", ".join(fields)), (0, 0, 0, 4), expand=False)
    return Group(line, told) if fields else line
