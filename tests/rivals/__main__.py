# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.rivals``: what other tools say of one emulated host, into README.md."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from pykvm.probe import Report
from tests.lab.tree import TOP
from tests.rivals.table import Line, compared, contradiction

_LAB = (sys.executable, "-m", "tests.lab", "run", "--cold", "--timeout", "1200")
_PACKAGES = ("cpu-checker", "util-linux", "libvirt-daemon-common", "qemu-system-arm")
_BEGIN, _END = "<!-- made by `python -m tests.rivals` -->\n", "<!-- end of rivals -->"


def markdown(lines: list[Line]) -> str:
    """One table: a row for each of a tool's lines, alike ones together."""
    rows = ["| tool | asked about | it says | `pykvm probe` | says |", "|---|---|---|---|---|"]
    for (tool, names), group in groupby(lines, lambda line: (line.tool, line.names)):
        alike = list(group)
        about = ", ".join(_short(line.about, 60) for line in alike[:4])
        theirs = "; ".join(dict.fromkeys(_short(line.theirs, 40) for line in alike[:4]))
        if len(alike) > 4:
            about += f" and {len(alike) - 4} more"
        ours = ", ".join(f"`{name}`" for name in names)
        cells = (f"`{tool}`", about, theirs, ours, _short(alike[0].ours, 40))
        rows.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def main() -> int:
    packages = [word for name in _PACKAGES for word in ("--package", name)]
    inside = ("--", "python3", "-m", "tests.rivals.inside")
    done = subprocess.run(
        [*_LAB, *packages, *inside], cwd=TOP, stdout=subprocess.PIPE, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    Path(TOP / "build/rivals.json").write_text(done.stdout, "utf-8")
    report = Report.from_json(json.dumps(told["pykvm"]))
    lines = list(compared(told, report))
    if wrong := [line for line in lines if contradiction(line, report)]:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    asked = {name for line in lines for name in line.names}
    table = markdown(lines) + (
        f"\nTogether they tell {len(asked)} of the report's {len(report.facts)} facts, and none of "
        f"its {len(report.capabilities)} capabilities, {len(report.vcpu_features)} trials of vCPU "
        f"features and {len(report.registers)} ID registers.\n"
    )
    print(table)
    readme = TOP / "README.md"
    text = readme.read_text("utf-8")
    if _BEGIN not in text:
        return 0
    head, _, rest = text.partition(_BEGIN)
    readme.write_text(head + _BEGIN + table + _END + rest.partition(_END)[2], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
