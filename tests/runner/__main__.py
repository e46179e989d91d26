# SPDX-License-Identifier: Apache-2.0
"""Run every check and every test, on every host: `python -m tests.runner`, or `make test`."""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from types import FrameType

from tests.properties import PROPERTIES
from tests.runner import interface, parts, summary
from tests.runner.parts import Part
from tests.runner.process import Process
from tests.runner.screen import Screen
from tests.runner.verdict import judge


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.runner", description=__doc__)
    parser.add_argument("part", nargs="*", help="only these parts; * stands for anything")
    parser.add_argument("--list", action="store_true", help="name the parts and end")
    parser.add_argument("--all", action="store_true", help="also what runs only if it is named")
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="parts at a time; 2 by default",
    )
    parser.add_argument(
        "--emulated",
        action="store_true",
        help="on an arm64 host with KVM, which needs none, add the emulated hosts",
    )
    return parser.parse_args()


def _chosen(every: Sequence[Part], patterns: Sequence[str]) -> list[Part]:
    for pattern in patterns:
        if not any(fnmatch.fnmatch(part.name, pattern) for part in every):
            names = "\n  ".join(part.name for part in every)
            sys.exit(f"no part is called {pattern!r}. There are:\n  {names}")
    return [
        part
        for part in every
        if any(fnmatch.fnmatch(part.name, pattern) for pattern in patterns)
        or not (patterns or part.by_name)
    ]


def _beyond(chosen: Sequence[Part], every: Sequence[Part]) -> Collection[str]:
    """Properties that no host of this run can have, so that a test may go without one."""
    if not {part for part in every if not part.by_name} <= set(chosen) or not any(
        part.shape for part in chosen
    ):
        return PROPERTIES
    return () if parts.has_kvm() else ("x86_64",)


def _run_all(processes: Sequence[Process], screen: Screen, jobs: int) -> None:
    def run(process: Process) -> None:
        screen.started(process)
        process.run()
        if process.went_silent:
            # A binding that hangs does so again; an emulator that stalled hardly ever does.
            screen.say(f"{process.part.name}: its host went silent; once more")
            process.repeat()
        screen.ended(process)

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(run, process) for process in processes]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            screen.say("ending what runs …")
            for process in processes:
                process.stop("it was interrupted")
            try:
                wait(futures)
            except KeyboardInterrupt:
                for process in processes:
                    process.kill()
                raise
        for future in futures:
            future.result()


def main() -> int:
    """Runs everything, or the parts that are named."""
    options = _options()
    every = parts.checks() + parts.wheels() + parts.on_this_machine()
    if options.emulated or not parts.is_arm64_host():
        every += parts.on_emulated_hosts() + parts.soak() + parts.migrate() + parts.mutants()
        every += (
            parts.kicks()
            + parts.probed_hosts()
            + parts.devices()
            + parts.hostile()
            + parts.free_threaded()
            + parts.bench()
            + parts.linux_guests()
            + parts.debian()
        )
    chosen = _chosen(every, ["*"] if options.all else options.part)
    if options.list:
        listed = every if not options.part else chosen
        print(*(f"{part.name}{' (if named)' * part.by_name}" for part in listed), sep="\n")
        return 0

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell's background job starts with it ignored, and so would every part.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupt)
    screen = Screen(max(len(part.name) for part in chosen))
    processes = [Process(part, screen.heard) for part in chosen]
    try:
        _run_all(processes, screen, options.jobs)
    finally:
        screen.close()
    unproven, notes = interface.judge(processes)
    verdict = judge(processes, _beyond(chosen, every), unproven)
    sections = (summary.troubles(processes), summary.table(processes), summary.gaps(verdict))
    print("", *filter(None, sections), *notes, sep="\n")
    print(summary.last_line(verdict), flush=True)
    return 1 if verdict.failed or not verdict.passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
