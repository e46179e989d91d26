# SPDX-License-Identifier: Apache-2.0
"""The ``pykvm`` command."""

from __future__ import annotations

import argparse
import sys

from pykvm import KvmError, __version__

__all__ = ["main"]

#: Exit statuses: of a question that was answered no, and of one that could not be asked.
NOT_SO, UNASKED = 1, 2


def _probe(options: argparse.Namespace) -> int:
    from pykvm.probe.collecting import collect

    report = collect(options.device, selftest=options.selftest)
    if options.json:
        print(report.to_json())
        return 0
    from pykvm.probe.show import show  # rich: half a second on a small machine

    show(report)
    return 0


def main(words: list[str] | None = None) -> int:
    """Runs one command line; the exit status is 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="pykvm", description="Linux KVM on arm64, from Python.")
    parser.add_argument("--version", action="version", version=f"pykvm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    probe = commands.add_parser("probe", help="what can this host's KVM do?")
    probe.add_argument("--json", action="store_true", help="for programs")
    probe.add_argument(
        "--selftest", action="store_true", help="also try interrupts, with a tiny guest"
    )
    probe.add_argument("--device", default="/dev/kvm", metavar="PATH", help="default: /dev/kvm")
    probe.set_defaults(do=_probe)
    options = parser.parse_args(words)
    try:
        return int(options.do(options))
    except (KvmError, ImportError) as failure:
        print(f"pykvm: {failure}", file=sys.stderr)
        return 1
