# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.devices``: devices of a host in stock guests, as a table; 1 if one is wrong.

``python -m tests.devices devices-gicv3 ahci`` for the rows of one host that begin so;
``python -m tests.devices soak devices-gicv3 50`` for so many guests one after the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.devices.kinds import MODULES
from tests.lab.shapes import NAMED_SHAPES

_LIMIT_SECONDS = 3600
#: For each guest of a soak. Beside other work, one takes 25.
_GUEST_SECONDS = 90


def on_host(host: str, *command: str, limit: int = _LIMIT_SECONDS) -> list[str]:
    """The words that run a command on a host, with a Linux for guests of it."""
    words = [sys.executable, "-m", "tests.lab", "run", "--shape", host, "--guest", "6.12"]
    words += [word for name in MODULES for word in ("--guest-module", name)]
    return [*words, "--timeout", str(limit), "--", *command]


def told(host: str, *names: str) -> Iterator[dict[str, Any]]:
    """What each row of a host came to."""
    words = on_host(host, "python3", "-m", "tests.devices.inside", host, *names)
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as lab:
        assert lab.stdout is not None
        for line in lab.stdout:
            if line.startswith("{"):
                yield json.loads(line)
            else:
                print(line, end="", file=sys.stderr)
    if lab.returncode:
        sys.exit(f"devices: the run on {host} ended early, with status {lab.returncode}")


_COLUMNS = (
    "host's irqs", "raised", "acked", "guest's irqs", "register exits", "exits while reading",
    "outside KVM_RUN", "data", "ms per read",
)  # fmt: skip


def table() -> Table:
    shown = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    shown.add_column("device, registers, interrupt", no_wrap=True)
    for column in _COLUMNS:
        shown.add_column(column, justify="right")
    shown.add_column("right")
    return shown


def cells(row: dict[str, Any]) -> list[str]:
    """A row's, by _COLUMNS."""
    counts, during = row.get("counts", {}), row.get("during", {})
    is_virtio = row["row"].startswith("virtio")
    numbers = [
        counts.get("host"), counts.get("raised"), counts.get("acknowledged"),
        row.get("guest_interrupts"), counts.get("register exits"),
    ]  # fmt: skip
    found = ["-" if is_virtio or number is None else f"{number:,}" for number in numbers]
    ms = row.get("milliseconds") or []
    read = len(ms) * row.get("reads", 0)
    found.append(f"{during['exits to userspace']:,} of {read:,}" if during else "-")
    found.append(f"{100 * row['outside']:.1f} %" if during else "-")
    data = row.get("checksum") and row.get("written")
    found.append("right" if data else "found" if row.get("found") else "none")
    spread = f" ({min(ms):.2f}-{max(ms):.2f})" if len(ms) > 1 else ""
    found.append(f"{statistics.median(ms):.2f}{spread}" if ms else "-")
    return found


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.devices",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("words", nargs="*", metavar="HOST [ROW …] | soak HOST GUESTS")
    words = options.parse_args().words
    if words[:1] == ["soak"]:
        host, count = [*words[1:], "50"][:2]
        limit = _LIMIT_SECONDS + int(count) * _GUEST_SECONDS
        program = ("python3", "-m", "tests.devices.soak", count)
        return subprocess.run(on_host(host, *program, limit=limit)).returncode
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    hosts = words[:1] or list(NAMED_SHAPES)
    if hosts[0] not in NAMED_SHAPES:
        sys.exit(f"devices: there is no host {hosts[0]!r}, but {', '.join(NAMED_SHAPES)}")
    shown, good = table(), True
    for host in hosts:
        shown.add_section()
        shown.add_row(f"[bold]{host}[/]")
        for row in told(host, *words[1:]):
            verdict = "[green]yes[/]" if row["right"] else "[bold red]NO[/]"
            shown.add_row(f"  {row['row']}", *cells(row), verdict)
            told_now = ", ".join(
                f"{column} {cell}"
                for column, cell in zip(_COLUMNS, cells(row), strict=True)
                if cell != "-"
            )
            console.print(f"{row['seconds']:6.0f} s  {host}: {row['row']}: {verdict}: {told_now}")
            if not row["right"]:
                said = row.pop("said")
                console.print(f"{row}\n{said[-3000:]}", markup=False)
                good = False
    console.print(shown)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
