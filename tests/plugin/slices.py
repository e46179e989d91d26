# SPDX-License-Identifier: Apache-2.0
"""``--interrupts`` and its kin: how long a slice tests take of an endless run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--interrupts", type=int, default=1000, metavar="N",
        help="interrupts in each test that races them; 1000 by default",
    )  # fmt: skip
    parser.addoption(
        "--kicks", type=int, default=500, metavar="N",
        help="kicks in each test that races them; 500 by default",
    )  # fmt: skip
    parser.addoption(
        "--generations", type=int, default=2, metavar="N",
        help="processes that each test of migration hands its machine through; 2 by default",
    )  # fmt: skip
    parser.addoption(
        "--hostile-cases", type=int, default=1500, metavar="N",
        help="guests that each device survives in each test of hostile ones; 1500 by default",
    )  # fmt: skip


@pytest.fixture
def hostile_cases(request: pytest.FixtureRequest) -> int:
    """How many hostile guests a device is to survive."""
    return int(request.config.getoption("hostile_cases"))


@pytest.fixture
def interrupts(request: pytest.FixtureRequest) -> int:
    """How many interrupts the test is to race."""
    return int(request.config.getoption("interrupts"))


@pytest.fixture
def kicks(request: pytest.FixtureRequest) -> int:
    """How many kicks the test is to race."""
    return int(request.config.getoption("kicks"))


#: Generations in one test: as many as are through before a silent host counts as hung.
_LEG = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``leg``: which generations a test of migration is for; with the legs before, all of them."""
    if "leg" in metafunc.fixturenames:
        every = range(metafunc.config.getoption("generations"))
        legs = [every[first : first + _LEG] for first in range(0, len(every), _LEG)]
        metafunc.parametrize("leg", legs, ids=[f"from {leg.start}" for leg in legs])
