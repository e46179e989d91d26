# SPDX-License-Identifier: Apache-2.0
"""Measuring: counted instructions in the lab, times on this machine."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.baseline import (
    ARM64_COMPILER,
    NATIVE_COMPILER,
    compile_baseline,
    compiler_version,
)
from tests.lab import emulators

__all__ = ["BenchError", "counted", "kvm_opens", "say", "timed"]

_TOP = Path(__file__).resolve().parents[2]
#: Behind the interpreter's name.
_MEASURE = ["-m", "tests.bench.measure"]
#: What the machines that are timed are made of.
_PATH = "PYTHONPATH=examples"
# Every round of a count is alike, so a few show that it is one; times need many, each long enough
# that the scheduler's slices do not matter.
_COUNTED = ["--iterations", "2000", "--rounds", "5"]
_TIMED = ["--iterations", "10000", "--rounds", "21"]


class BenchError(Exception):
    """The bench could not measure; the text says why."""


def say(text: str) -> None:
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


def counted(
    lab_words: Sequence[str], folder: Path, *, ours: bool = False, slower: str = ""
) -> dict[str, Any]:
    """Counted instructions, on an emulated arm64 host.

    ``ours``: without the rivals. ``slower``: with a wrapper made to cost more (tests/lab/cross.py).
    """
    say("compiling the C that pykvm is compared with")
    baseline = compile_baseline(folder, ARM64_COMPILER)
    say("counting instructions on an emulated arm64 host (about a minute)")
    lab = [sys.executable, "-m", "tests.lab", "run", "--icount", "--file", f"{baseline}:/bench.so"]
    lab += ["--timeout", "1800", "--slower", slower]
    inside = ["env", _PATH, "python3", *_MEASURE, "--baseline", "/bench.so", *_COUNTED]
    inside += ["--ours"] * ours
    found = _figures([*lab, *lab_words, "--", *inside], "in the lab")
    found["versions"] |= {"qemu": _qemu(lab_words), "gcc": compiler_version(ARM64_COMPILER)}
    return found


def kvm_opens() -> bool:
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        return True
    say("no second opinion: this machine has no /dev/kvm that we may open")
    return False


def timed(folder: Path) -> dict[str, Any]:
    """Times on this machine, all forms in one process on one CPU."""
    say("timing on this machine")
    baseline = compile_baseline(folder, NATIVE_COMPILER)
    words = ["env", _PATH, sys.executable, *_MEASURE, "--baseline", str(baseline), *_TIMED]
    cpu = str(min(os.sched_getaffinity(0)))
    found = _figures(["taskset", "-c", cpu, *words], "on this machine")
    found["versions"]["gcc"] = compiler_version(NATIVE_COMPILER)
    # These need more than one CPU.
    found["threads"] = _figures([sys.executable, "-m", "tests.bench.threads"], "threads")
    return found
