# SPDX-License-Identifier: Apache-2.0
"""Puts the table of each host's latest run into README.md: `python -m tests.coverage`."""

from __future__ import annotations

import argparse
import sys

from tests.coverage import collect, render
from tests.coverage.kept import KEPT, README


def main() -> int:
    """Rewrites README.md; 1 where a host has left no results."""
    argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__).parse_args()
    coverage, missing = collect.load(KEPT)
    if missing:
        print(f"no results of {', '.join(missing)}: run `make test` first", file=sys.stderr)
        return 1
    text = README.read_text(encoding="utf-8")
    README.write_text(render.replaced(text, coverage), encoding="utf-8")
    for row in collect.gaps(coverage):
        print(f"no test proves {row}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
