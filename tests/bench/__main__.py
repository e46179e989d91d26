# SPDX-License-Identifier: Apache-2.0
"""What a call through pykvm costs, compared with C: counted in the lab, then timed on this machine.

The count decides: exit status 1 where a ceiling is broken, 2 where it could not be taken. Times are
a second opinion. Words after -- go to the lab, which describes other hosts:

    python3 -m tests.bench -- --kernel newest
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import table
from tests.bench.baseline import (
    ARM64_COMPILER,
    NATIVE_COMPILER,
    CompileError,
    compile_baseline,
    compiler_version,
)
from tests.bench.results import broken, results
from tests.lab import emulators

_TOP = Path(__file__).resolve().parents[2]
_MEASURE = ["-m", "tests.bench.measure"]
# Every round of a count is alike, so a few show that it is one; times need many, each long enough
# that the scheduler's slices do not matter.
_COUNTED = ["--iterations", "2000", "--rounds", "5"]
_TIMED = ["--iterations", "10000", "--rounds", "21"]


class BenchError(Exception):
    """The bench could not measure; the text says why."""


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _figures(words: Sequence[str], where: str) -> dict[str, Any]:
    """Runs ``measure`` and takes what it prints; its complaints are shown as they come."""
    done = subprocess.run(words, cwd=_TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if done.returncode:
        raise BenchError(f"measuring {where} ended with status {done.returncode}; see above")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _qemu(lab_words: Sequence[str]) -> str:
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", default="distro")
    wanted: str = parser.parse_known_args(lab_words)[0].qemu
    return emulators.version(emulators.find(wanted))


def counted(lab_words: Sequence[str], folder: Path) -> dict[str, Any]:
    """Counted instructions, on an emulated arm64 host."""
    _say("compiling the C that pykvm is compared with")
    baseline = compile_baseline(folder, ARM64_COMPILER)
    _say("counting instructions on an emulated arm64 host (about a minute)")
    lab = [sys.executable, "-m", "tests.lab", "run", "--icount", "--file", f"{baseline}:/bench.so"]
    inside = ["python3", *_MEASURE, "--baseline", "/bench.so", *_COUNTED]
    found = _figures([*lab, *lab_words, "--", *inside], "in the lab")
    found["versions"] |= {"qemu": _qemu(lab_words), "gcc": compiler_version(ARM64_COMPILER)}
    return found


def _kvm_opens() -> bool:
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return True
    _say("no second opinion: this machine has no /dev/kvm that we may open")
    return False


def timed(folder: Path) -> dict[str, Any]:
    """Times on this machine, all forms in one process on one CPU."""
    _say("timing on this machine")
    baseline = compile_baseline(folder, NATIVE_COMPILER)
    words = [sys.executable, *_MEASURE, "--baseline", str(baseline), *_TIMED]
    cpu = str(min(os.sched_getaffinity(0)))
    found = _figures(["taskset", "-c", cpu, *words], "on this machine")
    found["versions"]["gcc"] = compiler_version(NATIVE_COMPILER)
    return found


def _show(found: dict[str, Any], title: str, unit: str, *, judged: bool) -> None:
    table.print_calls(results(found), title, judged=judged)
    print(table.versions_line(found))
    print(table.import_line(found, unit))


def _count(lab_words: Sequence[str], folder: Path) -> tuple[dict[str, Any], int]:
    found = counted(lab_words, folder)
    title = "Counted instructions per call, on an emulated arm64 host"
    _show(found, title, "million instructions", judged=True)
    faults = broken(results(found))
    for fault in faults:
        print(f"BROKEN: {fault}")
    return found, 1 if faults else 0


def _time(folder: Path) -> dict[str, Any]:
    found = timed(folder)
    _show(found, "Second opinion: nanoseconds per call, on this machine", "ms", judged=False)
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
            if options.only_timed or (not options.only_counted and _kvm_opens()):
                figures["timed"] = _time(Path(folder))
    except (BenchError, CompileError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
