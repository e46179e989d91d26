# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.hosts [WORD ...]``: all hosts, or those whose name has one of the words."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from pykvm.probe import Report
from tests.hosts.capabilities import compiled, disagreements
from tests.hosts.expected import HOSTS, Host, contradictions
from tests.hosts.fields import kernel_fields, misplaced
from tests.hosts.making import make_report


def _held(host: Host, folder: Path, program: Path) -> tuple[Report, list[str]]:
    """A host's report, and what is wrong with it."""
    report, answers = make_report(host, folder, program)
    return report, [*contradictions(host, report), *disagreements(report, answers)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--into", type=Path, help="keep the reports there")
    options = parser.parse_args()
    hosts = [host for host in HOSTS if not options.words or host.is_named(options.words)]
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.into or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        program = compiled(Path(scratch))
        theirs = kernel_fields()
        elsewhere = list(misplaced(theirs))
        print(f"fields of ID registers that lie elsewhere in the kernel: {len(elsewhere)}")
        print(*(f"        {field}" for field in elsewhere), sep="\n", end="\n" * bool(elsewhere))
        for host in hosts:
            begun = time.monotonic()
            report, problems = _held(host, folder, program)
            wrong += bool(problems)
            seconds = time.monotonic() - begun
            facts = sum(fact.yes for fact in report.facts.values())
            print(
                f"{'FAILED' if problems else 'passed'}  {host.name}: "
                f"Linux {report.facts['kernel'].value}, "
                f"{len(host.expected)} facts as configured, {facts} of {len(report.facts)} yes, "
                f"{len(report.capabilities)} capabilities as C has them, {seconds:.0f} s",
                flush=True,
            )
            for problem in problems:
                print(f"        {problem}", flush=True)
    print(f"{len(hosts) - wrong} of {len(hosts)} hosts are as they were configured")
    return 1 if wrong or elsewhere else 0


if __name__ == "__main__":
    sys.exit(main())
