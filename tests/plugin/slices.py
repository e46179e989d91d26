# SPDX-License-Identifier: Apache-2.0
"""``--interrupts N``: how long the slice is that each test of a race takes of an endless run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interrupts", type=int, default=1000, metavar="N",
        help="interrupts in each test that races them; 1000 by default",
    )  # fmt: skip


@pytest.fixture
def interrupts(request: pytest.FixtureRequest) -> int:
    """How many interrupts the test is to race."""
    return int(request.config.getoption("interrupts"))
