# SPDX-License-Identifier: Apache-2.0
"""``--interrupts`` and ``--generations``: how long a slice tests take of an endless run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interrupts", type=int, default=1000, metavar="N",
        help="interrupts in each test that races them; 1000 by default",
    )  # fmt: skip
    parser.addoption(
        "--generations", type=int, default=2, metavar="N",
        help="processes that each test of migration hands its machine through; 2 by default",
    )  # fmt: skip


@pytest.fixture
def interrupts(request: pytest.FixtureRequest) -> int:
    """How many interrupts the test is to race."""
    return int(request.config.getoption("interrupts"))


@pytest.fixture
def generations(request: pytest.FixtureRequest) -> int:
    """How many processes the test is to hand its machine through."""
    return int(request.config.getoption("generations"))
