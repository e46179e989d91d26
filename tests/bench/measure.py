# SPDX-License-Identifier: Apache-2.0
"""The half of the bench that runs where the kernel is: prints its figures as one line of JSON.

Nothing here knows whether the clock counts nanoseconds or, on a host whose time is its
instructions, instructions. Iterations are a fixed number, never adapted to how long they take:
else two counted runs would not do the same.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from tests.bench.baseline import Baseline
from tests.bench.names import open_names
from tests.bench.row import RIVALS, Row
from tests.bench.rows import rows_here

_TOP = Path(__file__).resolve().parents[2]

#: Runs a form so many times; returns what the clock says it took.
Loop = Callable[[int], float]


def python_loop(statement: str, names: Mapping[str, Any]) -> Loop:
    """A loop around ``statement``, whose names are local variables in it."""
    used = [name for name in compile(statement, "<row>", "exec").co_names if name in names]
    setup = "\n".join(f"{name} = given[{name!r}]" for name in used) or "pass"
    timer = timeit.Timer(statement, setup, timer=perf_counter_ns, globals={"given": names})
    return timer.timeit


def loops(
    row: Row, baseline: Baseline, names: Mapping[str, Any], wanted: Callable[[str], bool]
) -> dict[str, Loop]:
    """Every form of a row that is wanted, C first."""
    arguments = [names[name] for name in row.arguments]
    found: dict[str, Loop] = {"C": lambda n: baseline.run(row.loop, n, *arguments)}
    return found | {
        form: python_loop(text, names) for form, text in row.statements.items() if wanted(form)
    }


def per_call(
    forms: Mapping[str, Loop], iterations: int, rounds: int, *, calls: int = 1, once: bool = False
) -> dict[str, list[float]]:
    """Of each round the cost of one call. The forms take turns: what disturbs one, disturbs all.

    Each form is run once before, for what only happens the first time. With ``once`` the rivals
    take part in the first round alone.
    """
    found: dict[str, list[float]] = {form: [] for form in forms}
    for form, loop in forms.items():
        if not (once and form in RIVALS):
            loop(1)
    for number in range(rounds):
        for form, loop in forms.items():
            if not (number and once and form in RIVALS):
                found[form].append(loop(iterations) / iterations / calls)
    return found


def _cpu_seconds(command: str, environment: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", command], check=True, cwd=_TOP, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_cost(rounds: int) -> dict[str, list[float]]:
    """CPU seconds of a Python that does nothing, and of one that imports pykvm, compiled before."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        commands = {"python": "pass", "pykvm": "import pykvm"}
        found: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            _cpu_seconds(command, environment)
        for _ in range(rounds):
            for name, command in commands.items():
                found[name].append(_cpu_seconds(command, environment))
        return found


def _imports_rich() -> bool:
    command = "import sys, pykvm; print('rich' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", command], check=True, cwd=_TOP, capture_output=True, text=True
    )
    return told.stdout.strip() == "True"


def _cffi_version() -> str:
    import _cffi_backend

    try:
        return version("cffi")
    except PackageNotFoundError:  # only the half that is needed at run time is installed
        return str(_cffi_backend.__version__)


def settle() -> None:
    """Waits for what a host still does when it has just booted; it would be counted as ours.

    Until the kernel's random numbers are seeded, every system call pays some 9,000 instructions for
    the one that it shifts its stack by; and other threads share the only CPU that can be counted.
    """
    os.getrandom(1)
    time.sleep(2)


def versions() -> dict[str, str]:
    """What the figures belong to; they are comparable only where all of it is equal."""
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cffi": _cffi_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.measure", description=__doc__)
    parser.add_argument("--baseline", type=Path, required=True, help="compiled baseline.c")
    parser.add_argument("--iterations", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--ours", action="store_true", help="without the rivals, and the import")
    options = parser.parse_args()
    baseline = Baseline(options.baseline)
    settle()
    rows: dict[str, dict[str, list[float]]] = {}
    with open_names() as names:
        for row in rows_here():
            gc.collect()
            forms = loops(row, baseline, names, lambda form: not (options.ours and form in RIVALS))
            iterations = max(1, options.iterations // row.weight)
            rows[row.name] = per_call(
                forms, iterations, options.rounds, calls=row.calls, once=row.rivals_once
            )
    found = {"versions": versions(), "iterations": options.iterations, "rows": rows}
    if not options.ours:
        found["import"] = {"cpu_seconds": import_cost(5), "rich": _imports_rich()}
    print(json.dumps(found))


if __name__ == "__main__":
    # Not in the main thread: run() has itself interrupted there from time to time, and so would the
    # rivals be, who do not expect it.
    with ThreadPoolExecutor(1) as worker:
        worker.submit(main).result()
