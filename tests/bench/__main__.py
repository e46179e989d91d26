# SPDX-License-Identifier: Apache-2.0
"""What a call through pykvm costs, compared with C: counted in the lab, then timed on this machine.

The count decides: exit status 1 where a ceiling is broken, 2 where it could not be taken. Times are
a second opinion. Words after -- go to the lab, which describes other hosts:

    python3 -m tests.bench -- --kernel newest
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import table
from tests.bench.baseline import CompileError
from tests.bench.count import BenchError, counted, kvm_opens, timed
from tests.bench.picture import draw
from tests.bench.results import broken, results


def _show(found: dict[str, Any], title: str, unit: str, *, judged: bool) -> None:
    table.print_calls(results(found), title, judged=judged)
    print(table.versions_line(found))
    print(table.import_line(found, unit))


def _count(lab_words: Sequence[str], folder: Path) -> tuple[dict[str, Any], int]:
    found = counted(lab_words, folder)
    title = "Counted instructions per call, on an emulated arm64 host"
    _show(found, title, "million instructions", judged=True)
    print(*table.missed_lines(results(found)), sep="\n")
    faults = broken(results(found))
    for fault in faults:
        print(f"BROKEN: {fault}")
    return found, 1 if faults else 0


def _time(folder: Path) -> dict[str, Any]:
    found = timed(folder)
    _show(found, "Second opinion: nanoseconds per call, on this machine", "ms", judged=False)
    print(table.threads_line(found))
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the count there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-counted", action="store_true", help="leave the times out")
    only.add_argument("--only-timed", action="store_true", help="leave the count out: no verdict")
    parser.add_argument("lab", nargs="*", metavar="-- LAB-WORDS", help="options of tests.lab run")
    return parser.parse_args()


def main() -> int:
    options = _parse()
    figures: dict[str, Any] = {}
    status = 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            if not options.only_timed:
                figures["counted"], status = _count(options.lab, Path(folder))
            if options.only_timed or (not options.only_counted and kvm_opens()):
                figures["timed"] = _time(Path(folder))
    except (BenchError, CompileError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 2
    if options.svg and "counted" in figures:
        counts = figures["counted"]
        options.svg.write_text(draw(results(counts), counts["versions"]), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
