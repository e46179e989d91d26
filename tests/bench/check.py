# SPDX-License-Identifier: Apache-2.0
"""Whether pykvm costs what it did: one counted run, without the rivals, held against the ceilings
and against what baselines.json keeps for these versions.

    python3 -m tests.bench.check               # what `make bench-check` does
    python3 -m tests.bench.check --keep        # and keep what was found
    python3 -m tests.bench.check --prove ROW   # make ROW 3 % dearer: the gate must name it alone

Exit status 1: a ceiling is broken, or a row is more than 2 % dearer. 2: it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import gate
from tests.bench.baseline import CompileError
from tests.bench.count import BenchError, counted, say
from tests.bench.results import Result, broken, results
from tests.bench.rows import ROWS

#: By how much --prove makes a row dearer.
_SHARE = 0.03
_PROVABLE = {row.name: row.wrapper for row in ROWS if row.wrapper}


def _count(lab_words: Sequence[str], slower: str = "") -> tuple[str, list[Result]]:
    with tempfile.TemporaryDirectory() as folder:
        found = counted(lab_words, Path(folder), ours=True, slower=slower)
    return gate.key_of(found), results(found)


def check(lab_words: Sequence[str], *, keep: bool) -> int:
    """The gate."""
    key, listed = _count(lab_words)
    print(key)
    faults = broken(listed)
    baseline = gate.kept(key)
    if baseline is None:
        print("Nothing is kept for these versions: only the ceilings decide.")
    else:
        faults += map(str, gate.dearer(listed, baseline))
    made = gate.ratios(listed)
    if keep:
        gate.keep(key, made)
        print(f"{gate.FILE.name} keeps this run.")
    elif baseline is None or gate.differs(listed, baseline):
        print(f"To be kept in {gate.FILE.name} (--keep does it):")
        print(json.dumps({key: made}, indent=1))
    for fault in faults:
        print(f"FAILED: {fault}")
    print(f"{len(listed)} rows, {len(faults)} faults")
    return 1 if faults else 0


def prove(lab_words: Sequence[str], name: str) -> int:
    """Whether the gate notices: passes as it is, and fails on the row that was made dearer."""
    key, listed = _count(lab_words)
    baseline = gate.kept(key) or gate.ratios(listed)
    before = gate.dearer(listed, baseline)
    cost = next(result.costs["pykvm"] for result in listed if result.name == name)
    row = next(row for row in ROWS if row.name == name)
    more = round(cost * row.calls * _SHARE / row.wrapper_calls)
    say(f"once more, with {more} instructions added to {_PROVABLE[name]}()")
    _, slowed = _count(lab_words, f"{_PROVABLE[name]}:{more}")
    after = gate.dearer(slowed, baseline)
    for told, found in ("as it is", before), (f"with {name} dearer", after):
        print(f"{told}:", *(map(str, found) if found else ["passes"]), sep="\n  ")
    return 0 if not before and {each.row for each in after} == {name} else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.bench.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keep", action="store_true", help="put what was found into the file")
    provable = ", ".join(_PROVABLE).replace("%", "%%")
    parser.add_argument("--prove", choices=_PROVABLE, metavar="ROW", help=provable)
    parser.add_argument("lab", nargs="*", metavar="-- LAB-WORDS", help="options of tests.lab run")
    options = parser.parse_args()
    try:
        if options.prove:
            return prove(options.lab, options.prove)
        return check(options.lab, keep=options.keep)
    except (BenchError, CompileError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
