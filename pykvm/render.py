# SPDX-License-Identifier: Apache-2.0
"""The probe's facts as a person wants to see them."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["show_probe"]


def show_probe(facts: dict[str, Any], console: Console | None = None) -> None:
    """Prints what :func:`pykvm.probe.collect` found."""
    console = console or Console(highlight=False)
    console.print(
        f"KVM on {facts['machine']}, Linux {facts['kernel']}: interface {facts['api_version']}, "
        f"pages of {facts['page_size'] // 1024} KiB"
    )
    if facts["ipa_bits"] is not None:
        console.print(f"Guest physical addresses: up to {facts['ipa_bits']} bits")
    console.print(_devices(facts["devices"]))
    console.print(_capabilities(facts["capabilities"]))
    absent = [cap["name"] for cap in facts["capabilities"] if not _says_something(cap)]
    if absent:
        console.print("Answered 0:", ", ".join(absent), style="dim")


def _says_something(cap: dict[str, Any]) -> bool:
    return bool(cap["system"] or cap["vm"])


def _devices(devices: list[dict[str, Any]]) -> Table:
    table = Table("Device", "type", "this host", title="Devices, by trial", title_justify="left")
    for device in devices:
        verdict = "[green]yes[/]" if device["available"] else "[dim]no[/]"
        table.add_row(device["name"], str(device["type"]), verdict)
    return table


def _capabilities(capabilities: list[dict[str, Any]]) -> Table:
    table = Table(title="Capabilities", title_justify="left")
    table.add_column("KVM_CAP_…")
    for column in ("number", "system", "VM"):
        table.add_column(column, justify="right")
    for cap in capabilities:
        if _says_something(cap):
            system, vm = (_value(cap[asked]) for asked in ("system", "vm"))
            table.add_row(cap["name"], str(cap["number"]), system, vm)
    return table


def _value(answer: int | None) -> str:
    """Numbers as they are, bit patterns in hexadecimal."""
    if answer is None:
        return "-"
    return str(answer) if answer < 1 << 17 else hex(answer)
