# SPDX-License-Identifier: Apache-2.0
"""The folders of tests, and what every test in one needs of a host."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePosixPath

import pytest

TIERS: dict[str, tuple[str, ...]] = {
    "unit": (),
    "kvm": ("kvm",),
    "arm64": ("kvm", "arm64"),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "binding: about the binding alone, so that a host of each kernel and of each GIC will do",
    )


def tier_of(item: pytest.Item) -> str:
    """The tier whose folder a test is in."""
    folders = PurePosixPath(item.nodeid.partition("::")[0]).parts
    for top, tier in pairwise(folders):
        if top == "tests" and tier in TIERS:
            return tier
    raise pytest.UsageError(
        f"{item.nodeid} is in none of the folders of tests ({', '.join(TIERS)}): no host would "
        f"ever run it. Move it to the one whose needs it has."
    )
