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

from rich.console import Console
from rich.table import Table

from tests.properties import holds

ROOT = Path(__file__).resolve().parents[2]
COUNT = 1000
CONTROL = 20

console = Console(highlight=False)


class Host(NamedTuple):
    """Where the examples run, and the words that make it so."""

    name: str
    command: list[str]


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
        return [Host(f"this machine, Linux {platform.release()}", [])]
    return [
        Host("Neoverse N1, Linux 6.12", lab("--gic", "3", "--kernel", "6.12")),
        Host("Cortex-A57, Linux 6.1", lab("--gic", "2", "--cpu", "cortex-a57", "--kernel", "6.1")),
    ]


def script(*, first: bool) -> str:
    """What is run on a host: for a person first, then one line of JSON per example."""
    spoken = ["pykvm --version", "python3 examples/hello_mmio.py --count 2"]
    if first:  # one page of capabilities is enough
        spoken.insert(1, "pykvm probe")
    counted = [
        f"python3 examples/irqfd_edge.py --count {COUNT} --json",
        f"python3 examples/ioeventfd_doorbell.py --count {COUNT} --json",
        f"python3 examples/irqfd_edge.py --count {CONTROL} --control --json",
    ]
    lines = ["export PYTHONPATH=$PWD"]
    for command in spoken:
        lines += [f"echo '$ {command}'", command]
    for command in counted:
        lines += [f"echo '$ {command}'", f"{command}; echo '{{\"status\": '$?'}}'"]
    return "; ".join(lines)


def show(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Passes on what is meant for a person, and returns what is meant for us."""
    found = []
    for line in lines:
        if line.startswith("{"):
            found.append(json.loads(line))
        else:
            console.print("  " + line.rstrip(), markup=False)
    return found


def environment() -> dict[str, str]:
    """With this Python and its ``pykvm`` first, for hosts that are this machine."""
    here = Path(sys.executable).parent
    return {**os.environ, "PATH": f"{here}:{os.environ['PATH']}", "COLUMNS": "96"}


def run(host: Host, *, first: bool) -> list[Result]:
    command = [*host.command, "sh", "-c", script(first=first)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        told = show(process.stdout)
    if process.returncode or len(told) != 6:
        raise SystemExit(
            f"demo: the run on {host.name} ended early, with status {process.returncode}; what it "
            f"printed last is above"
        )
    results = []
    for counts, end in zip(told[::2], told[1::2], strict=True):
        control = counts["sent"] == CONTROL
        name = counts["example"] + (" --control" if control else "")
        expected = _nothing_came(counts, end) if control else _all_came(counts, end)
        results.append(Result(host.name, name, end["status"], counts, expected))
    return results


def _all_came(told: dict[str, Any], end: dict[str, Any]) -> bool:
    arrived: bool = told["sent"] == told["taken"] == told["ended"] == COUNT
    clean: bool = told["lost"] == told["spurious"] == end["status"] == 0
    return arrived and clean


def _nothing_came(told: dict[str, Any], end: dict[str, Any]) -> bool:
    silent: bool = told["taken"] == 0 and told["lost"] == told["sent"]
    return silent and bool(end["status"] == 1)


def table(results: list[Result]) -> Table:
    shown = Table(
        title="Interrupts through eventfds: sent by the host, taken by the guest",
        title_justify="left",
    )
    shown.add_column("example", no_wrap=True)
    for column in ("GIC", "sent", "taken", "ended", "lost", "spurious"):
        shown.add_column(column, justify="right")
    shown.add_column("right")
    for number, result in enumerate(results):
        if not number or results[number - 1].host != result.host:
            shown.add_section()
            shown.add_row(f"[bold]{result.host}[/]")
        keys = ("gic", "sent", "taken", "ended", "lost", "spurious")
        counts = [str(result.told[key]) for key in keys]
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
        results += run(host, first=not results)
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
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
