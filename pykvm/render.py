# SPDX-License-Identifier: Apache-2.0
"""The probe's facts as a person wants to see them, on 80 columns too.

The long list comes first and the verdict last, where a terminal leaves the eye.
"""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["show_probe"]

_LIMITS = {
    "vcpus_advised": "vCPUs that are advisable",
    "vcpus": "vCPUs at most",
    "vcpu_ids": "numbers for vCPUs",
    "memory_slots": "memory slots",
    "routing_entries": "interrupt routes",
}
_VERDICTS = {"passed": "[green]passed[/]", "failed": "[bold red]FAILED[/]"}
#: Below this, what a capability means goes under its name: beside it there is no room.
_WIDE = 110
_INDENT = (0, 0, 0, 2)


def show_probe(facts: dict[str, Any], console: Console | None = None) -> None:
    """Prints what :func:`pykvm.probe.collect` found."""
    console = console or Console(highlight=False)
    if facts["capabilities"]:
        _show_capabilities(facts["capabilities"], console)
        console.print()
    console.print(_headline(facts), style="bold")
    for line in _lines(facts):
        console.print(line)
    if facts["devices"]:
        _show_devices(facts["devices"], console)
    for gap in facts["missing"]:
        _show_missing(gap, console)
    if facts["selftest"] is not None:
        _show_selftest(facts["selftest"], console)


def _headline(facts: dict[str, Any]) -> str:
    words = "KVM on" if facts["kvm"] else "No KVM to use on"
    return f"{words} {facts['machine']}, {facts['system']} {facts['kernel']}"


def _lines(facts: dict[str, Any]) -> list[str]:
    """What fits into a sentence each."""
    host = [f"pages of {facts['page_size'] // 1024} KiB"]
    if facts["host_gic"]:
        host.append(f"a GIC{facts['host_gic']}")
    if facts["entered_at"]:
        host.append(f"kernel entered at {facts['entered_at']}")
    lines = [f"Host: {', '.join(host)}"]
    if facts["api_version"] is not None:
        lines.append(f"Interface: version {facts['api_version']}")
    if facts["limits"]:
        said = [f"{facts['limits'][key]} {words}" for key, words in _LIMITS.items()]
        if facts["ipa_bits"] is not None:
            said.insert(0, f"guest physical addresses of {facts['ipa_bits']} bits")
        lines.append(f"A VM: {', '.join(said)}")
    for gic in facts["gics"]:
        lines.append(
            f"Its GICv{gic['version']}: {gic['vcpus']} vCPUs, {gic['spis']} SPIs, "
            f"irqfd {_yes(gic['irqfd'])}, with resamplefd {_yes(gic['resample'])}"
        )
    if facts["irqfd"]["by"] == "capability":
        works, resample = _yes(facts["irqfd"]["works"]), _yes(facts["irqfd"]["resample"])
        lines.append(f"irqfd {works}, with resamplefd {resample} (by capability)")
    return lines


def _yes(value: bool) -> str:
    return "[green]yes[/]" if value else "[red]no[/]"


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(*columns, title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.title_justify = "left"
    return table


def _show_devices(devices: list[dict[str, Any]], console: Console) -> None:
    table = _table("device", "type", "here", "meaning", title="Devices, by trial")
    table.columns[0].no_wrap = True
    for device in devices:
        number, here = str(device["type"]), _yes(device["available"])
        table.add_row(device["name"], number, here, device["meaning"])
    console.print(table)


def _show_missing(gap: dict[str, str], console: Console) -> None:
    console.print(Text(f"Missing: {gap['what']}", "yellow"))
    for words in (gap["why"], gap["remedy"] and f"Remedy: {gap['remedy']}"):
        if words:
            console.print(Padding(Text(words), _INDENT, expand=False))


def _show_selftest(results: list[dict[str, Any]], console: Console) -> None:
    table = _table("selftest", "result", "GIC", "sent", "taken", "ended")
    for result in results:
        counts = (result[key] for key in ("gic", "sent", "taken", "ended"))
        shown = ("-" if count is None else str(count) for count in counts)
        table.add_row(result["name"], _VERDICTS.get(result["result"], result["result"]), *shown)
    console.print(table)
    for why in dict.fromkeys(_reason(result) for result in results if result["why"]):
        console.print(Text(why))


def _reason(result: dict[str, Any]) -> str:
    return f"{result['failure']}: {result['why']}" if result["failure"] else str(result["why"])


def _show_capabilities(capabilities: list[dict[str, Any]], console: Console) -> None:
    wide = console.width >= _WIDE
    table = _table("capability")
    for column in ("number", "value"):
        table.add_column(column, justify="right")
    if wide:
        table.add_column("meaning")
    for cap in filter(_says_something, capabilities):
        meaning = Text(cap["meaning"], "dim")
        numbers = (str(cap["number"]), _answers(cap["system"], cap["vm"]))
        if wide:
            table.add_row(cap["name"], *numbers, meaning)
        else:
            table.add_row(Group(cap["name"], Padding(meaning, _INDENT, expand=False)), *numbers)
    console.print(table)
    absent = [cap["name"] for cap in capabilities if not _says_something(cap)]
    if absent:
        names = ", ".join(name.removeprefix("KVM_CAP_") for name in absent)
        console.print(f"Answered 0 (KVM_CAP_…): {names}", style="dim")


def _says_something(cap: dict[str, Any]) -> bool:
    return bool(cap["system"] or cap["vm"])


def _answers(system: int | None, vm: int | None) -> str:
    """The system's answer, and the VM's where that is another one."""
    if system == vm:
        return _value(system)
    return f"VM {_value(vm)}" if system is None else f"{_value(system)}, VM {_value(vm)}"


def _value(answer: int | None) -> str:
    """Numbers as they are, bit patterns in hexadecimal."""
    if answer is None:
        return "-"
    return str(answer) if answer < 1 << 17 else hex(answer)
