# SPDX-License-Identifier: Apache-2.0
"""The example's declarations of VFIO are the kernel headers'; a wrong one would be found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.oracle import vfio
from tests.oracle.compare import Comparison, compare
from tests.oracle.facts import Fact, Kind
from tests.oracle.headers import Headers, every


@pytest.fixture(scope="module")
def all_headers() -> list[Headers]:
    return every()


@pytest.fixture(scope="module")
def results(all_headers: list[Headers]) -> list[Comparison]:
    return [compare(vfio.facts(), headers, vfio.INCLUDES) for headers in all_headers]


def test_no_kernel_disagrees(results: list[Comparison]) -> None:
    assert [str(failure) for result in results for failure in result.failures] == []


def test_every_declaration_is_compared_with_the_newest_kernel(results: list[Comparison]) -> None:
    for result in results:
        if result.headers.newest:
            assert result.compared == vfio.facts()
            assert len(result.compared) > 150
        else:  # what has grown since
            assert {fact.since for fact in result.absent} == {(6, 6)}


@pytest.mark.parametrize("kind", [Kind.CONSTANT, Kind.REQUEST, Kind.SIZE, Kind.OFFSET, Kind.WIDTH])
def test_a_wrong_one_is_found(kind: Kind, all_headers: list[Headers]) -> None:
    facts = vfio.facts()
    number = max(index for index, fact in enumerate(facts) if fact.kind is kind)
    wrong: Fact = replace(facts[number], ours=facts[number].ours ^ 1)
    [failure] = compare([wrong], all_headers[-1], vfio.INCLUDES).failures
    assert str(failure).startswith(f"{vfio.FILE}: {kind} {wrong.name} is")
