# SPDX-License-Identifier: Apache-2.0
"""What the examples count, and how they tell it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from pykvm import KvmError


@dataclass
class Tally:
    """One example's result; None where a key does not apply.

    ``gic``: "v2" or "v3". ``sent``: writes to the eventfd. ``taken``, ``ended``: what the guest's
    handler counted. ``resampled``: reads of the resamplefd. ``lost``: signals whose interrupt was
    not seen within their limit. ``spurious``: acknowledges of 1023 or of an INTID that was not
    expected.
    """

    example: str
    gic: str | None = None
    sent: int | None = None
    taken: int | None = None
    ended: int | None = None
    resampled: int | None = None
    lost: int | None = None
    spurious: int | None = None

    @property
    def good(self) -> bool:
        return not self.lost and not self.spurious and self.taken == self.sent == self.ended

    def tell(self, as_json: bool) -> int:
        """Prints the counts and returns the exit status: 0 if all is well."""
        if as_json:
            print(json.dumps(asdict(self)))
        else:
            for name, value in asdict(self).items():
                print(f"{name:>10}: {'-' if value is None else value}")
        return 0 if self.good else 1


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that the examples share."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--gic", type=int, choices=(2, 3), help="GIC version (default: newest)")
    options.add_argument("--count", type=_count, default=100, metavar="N", help="how often (100)")
    options.add_argument("--json", action="store_true", help="print one line of JSON")
    return options


def finish(main: Callable[[], int]) -> NoReturn:
    """Runs an example to its exit status; what KVM refuses is told in a sentence."""
    try:
        status = main()
    except KvmError as refusal:
        sys.exit(f"{Path(sys.argv[0]).stem}: {refusal}")
    sys.exit(status)


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def wait_for(read: Callable[[], int], at_least: int, limit: float) -> bool:
    """Whether what ``read`` returns came to ``at_least`` within ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while read() < at_least:
        if time.monotonic() > deadline:
            return read() >= at_least
        time.sleep(0.0001)
    return True
