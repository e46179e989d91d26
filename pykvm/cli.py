# SPDX-License-Identifier: Apache-2.0
"""The ``pykvm`` command.

Exit statuses: 0; 1 where a question was answered no; 2 where it could not be asked or answered.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pykvm import __version__

if TYPE_CHECKING:
    from pykvm.probe.report import Report

__all__ = ["main"]

NO, UNASKED = 1, 2


class _Refused(Exception):
    """Something cannot be done; the text is for the user."""


def _probe(options: argparse.Namespace) -> int:
    from pykvm.probe.collecting import collect
    from pykvm.probe.require import Requirement, RequirementError

    requirement = None
    if options.require is not None:
        try:
            requirement = Requirement.parse(options.require)
        except RequirementError as wrong:
            raise _Refused(f"--require: {wrong}") from None
    tests = requirement is not None and any(n.startswith("selftest_") for n in requirement.names)
    report = collect(options.device, selftest=options.selftest or tests)
    if options.json:
        print(report.to_json())
    elif requirement is None or options.verbose or options.svg or options.html:
        _show(report, options)
    if requirement is None:
        return 0
    unmet = requirement.unmet(report)
    if not unmet:
        if not options.json:
            print(f"met: {requirement.text}")
        return 0
    print(f"pykvm: not met: {' '.join(unmet)}", file=sys.stderr)
    return NO


def _show(report: Report, options: argparse.Namespace) -> None:
    from pykvm.probe.show import console_for, show  # rich: half a second on a small machine

    exports = [(options.svg, "svg"), (options.html, "html")]
    console = console_for(record=any(place for place, _ in exports))
    show(report, console, verbose=options.verbose, ascii=options.ascii)
    for place, kind in exports:
        if place:
            from pykvm.probe.export import exported

            _write(place, exported(console, kind))


def _write(place: str, text: str) -> None:
    try:
        Path(place).write_text(text, "utf-8")
    except (OSError, ValueError) as refusal:
        raise _Refused(f"{place} cannot be written: {_plainly(refusal)}") from None


def _read(place: str) -> Report:
    from pykvm.probe.report import Report, UnreadableReport

    try:
        return Report.from_json(Path(place).read_text("utf-8"))
    except UnreadableReport as wrong:
        raise _Refused(f"{place}: {wrong}") from None
    except (OSError, ValueError) as refusal:
        raise _Refused(f"{place} cannot be read: {_plainly(refusal)}") from None


def _plainly(refusal: Exception) -> str:
    return (isinstance(refusal, OSError) and refusal.strerror) or str(refusal)


def _diff(options: argparse.Namespace) -> int:
    from pykvm.probe.diff import differences

    found = differences(_read(options.a), _read(options.b), everything=options.all)
    if options.json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(difference) for difference in found], indent=1))
    elif found:
        from pykvm.probe.show import console_for
        from pykvm.probe.showdiff import show_differences

        show_differences(found, options.a, options.b, console_for(), ascii=options.ascii)
    else:
        print("Nothing differs." if options.all else "No guest would notice a difference.")
    return NO if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pykvm", description="Linux KVM on arm64, from Python.")
    parser.add_argument("--version", action="version", version=f"pykvm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    probe = commands.add_parser("probe", help="what can this host's KVM do, and if not, why?")
    probe.add_argument("--verbose", action="store_true", help="capabilities, trials, registers too")
    probe.add_argument("--json", action="store_true", help="for programs")
    probe.add_argument(
        "--require", metavar="EXPR",
        help="such as 'gicv3 and ipa_bits >= 44'; exit status 0 met, 1 not met, 2 no such name",
    )  # fmt: skip
    probe.add_argument(
        "--selftest", action="store_true", help="also try interrupts, with a tiny guest"
    )
    probe.add_argument("--device", default="/dev/kvm", metavar="PATH", help="default: /dev/kvm")
    probe.add_argument("--svg", metavar="FILE", help="also as a picture")
    probe.add_argument("--html", metavar="FILE", help="also as a page")
    probe.set_defaults(do=_probe)

    diff = commands.add_parser(
        "diff", help="what would a guest notice that moves from one host to another?"
    )
    diff.add_argument("a", metavar="A.json", help="what pykvm probe --json printed")
    diff.add_argument("b", metavar="B.json")
    diff.add_argument("--all", action="store_true", help="what only programs on the hosts see, too")
    diff.add_argument("--json", action="store_true", help="for programs")
    diff.set_defaults(do=_diff)
    for each in (probe, diff):
        each.add_argument("--ascii", action="store_true", help="no other signs than ASCII's")
    return parser


def main(words: list[str] | None = None) -> int:
    """Runs one command line; what is wrong with it or its files is said on stderr."""
    options = _parser().parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of users and files need not fit the terminal
            stream.reconfigure(errors="backslashreplace")
    try:
        status = int(options.do(options))
        sys.stdout.flush()
    except _Refused as refusal:
        print(f"pykvm: {refusal}", file=sys.stderr)
        return UNASKED
    except BrokenPipeError:  # head, less: whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNASKED
    except OSError as refusal:
        print(f"pykvm: {refusal}", file=sys.stderr)
        return UNASKED
    return status
