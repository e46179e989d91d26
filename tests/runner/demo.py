# SPDX-License-Identifier: Apache-2.0
"""``make demo``: the main job, shown. On an arm64 KVM host natively, anywhere else in the lab."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from tests.properties import holds
from tests.runner import demo_device, demo_linux

ROOT = Path(__file__).resolve().parents[2]
COUNT = 1000
#: Before what a host says.
INDENT = "  "
CONTROL = "irqfd_edge --control --count 20"

console = Console(highlight=False)


class Host(NamedTuple):
    """Where the examples run, and the words that make it so."""

    name: str
    command: list[str]
    has_its: bool

    @property
    def examples(self) -> list[str]:
        """Those that count; the last one lacks the binding, and must count nothing."""
        counting = ["irqfd_edge", "irqfd_level", "asyncio_device", "ioeventfd_doorbell"]
        if self.has_its:
            counting.append("msi_its")
        return [*(f"{name} --count {COUNT}" for name in counting), CONTROL]


class Result(NamedTuple):
    host: str
    example: str
    status: int
    told: dict[str, Any]
    expected: bool


def lab(*options: str) -> list[str]:
    return [sys.executable, "-m", "tests.lab", "run", *options, "--"]


def natively() -> bool:
    return holds("arm64") and holds("kvm")


def hosts() -> list[Host]:
    if natively():
        return [Host(f"this machine, {platform.release()}", [], holds("its"))]
    n1 = lab("--gic", "3", "--kernel", "6.12")
    a57 = lab("--gic", "2", "--cpu", "cortex-a57", "--kernel", "6.1")
    return [
        Host("Neoverse N1, GICv3, 6.12", n1, True),
        Host("Cortex-A57, GICv2, 6.1", a57, False),
    ]


def script(examples: list[str]) -> str:
    """What is run on a host: for a person first, then one line of JSON per example."""
    spoken = [
        "pykvm --version",
        "pykvm probe --selftest",
        "python3 examples/hello_mmio.py --count 2",
    ]
    lines = [f"export PYTHONPATH=$PWD COLUMNS={console.width - len(INDENT)}"]
    for command in spoken:
        lines += [f"echo '$ {command}'", command]
    for words in examples:
        name, _, options = words.partition(" ")
        command = f"python3 examples/{name}.py {options} --json"
        lines += [f"echo '$ {command}'", f"{command}; echo '{{\"status\": '$?'}}'"]
    return "; ".join(lines)


def show(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Passes on what is meant for a person, and returns what is meant for us."""
    found = []
    for line in lines:
        if line.startswith("{"):
            found.append(json.loads(line))
        else:
            console.print(INDENT + line.rstrip(), markup=False)
    return found


def environment() -> dict[str, str]:
    """With this Python and its ``pykvm`` first, for hosts that are this machine."""
    here = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}


def run(host: Host) -> list[Result]:
    command = [*host.command, "sh", "-c", script(host.examples)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = show(process.stdout)
    if process.returncode or len(told) != 2 * len(host.examples):
        raise SystemExit(
            f"demo: the run on {host.name} ended early, with status {process.returncode}; what it "
            f"printed last is above"
        )
    results = []
    for words, counts, end in zip(host.examples, told[::2], told[1::2], strict=True):
        if words == CONTROL:
            name, expected = "irqfd_edge --control", _nothing_came(counts, end)
        else:
            name, expected = counts["example"], _all_came(counts, end)
        results.append(Result(host.name, name, end["status"], counts, expected))
    return results


def _all_came(told: dict[str, Any], end: dict[str, Any]) -> bool:
    arrived: bool = told["sent"] == told["taken"] == told["ended"] == COUNT
    heard: bool = told["resampled"] in (None, COUNT)
    clean: bool = told["lost"] == told["spurious"] == end["status"] == 0
    return arrived and heard and clean


def _nothing_came(told: dict[str, Any], end: dict[str, Any]) -> bool:
    silent: bool = told["taken"] == 0 and told["lost"] == told["sent"]
    return silent and bool(end["status"] == 1)


def table(results: list[Result]) -> Table:
    shown = Table(
        title="Interrupts through eventfds: sent by the host, taken by the guest",
        title_justify="left",
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    shown.add_column("example", no_wrap=True)
    for column in ("sent", "taken", "ended", "resampled", "lost", "spurious"):
        shown.add_column(column, justify="right")
    shown.add_column("right")
    for number, result in enumerate(results):
        if not number or results[number - 1].host != result.host:
            shown.add_section()
            shown.add_row(f"[bold]{result.host}[/]")
        keys = ("sent", "taken", "ended", "resampled", "lost", "spurious")
        counts = ["-" if result.told[key] is None else str(result.told[key]) for key in keys]
        verdict = "[green]yes[/]" if result.expected else "[bold red]NO[/]"
        shown.add_row(f"  {result.example}", *counts, verdict)
    return shown


def main() -> int:
    results: list[Result] = []
    seconds: list[tuple[str, float]] = []
    if not natively():
        console.print("This machine is no arm64 KVM host, so the lab emulates two.")
    for host in hosts():
        console.rule(host.name, align="left")
        start = time.monotonic()
        results += run(host)
        seconds.append((host.name, time.monotonic() - start))
    console.print()
    console.print(table(results))
    for name, spent in seconds:
        console.print(f"{spent:6.1f} s  {name}")
    good = all(result.expected for result in results)
    console.print(
        "[green]Every signal arrived once; without the binding none did.[/]"
        if good
        else "[bold red]Something is wrong: see the rows marked NO.[/]"
    )
    if not natively() and not demo_linux.show(console, INDENT):
        console.print("[bold red]Linux did not come up in the minimal VMM, or not to its end.[/]")
        good = False
    if not natively() and not demo_device.show(console, INDENT):
        console.print("[bold red]The guest did not get the host's disk as it is.[/]")
        good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
