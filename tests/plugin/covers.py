# SPDX-License-Identifier: Apache-2.0
"""``@pytest.mark.covers(ROW, ...)``: this test proves these rows of the interface.

A row (``tests/coverage/rows.py``) is proven by a test that made the call, saw it succeed, and
asserted its effect: what a guest reported, or what another call read back. With
``refused="EINVAL"`` it is the refusal that is proven, for rows that the host cannot serve. The
trace of the test tells whether the call was made; that the assertion sees it is shown by a run in
which the call does nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from tests.coverage.rows import ROWS


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "covers(*rows, refused=None): rows of tests/coverage/rows.py that it proves"
    )


def covered(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """The rows that a test proves, each with the errno of its refusal, or an empty string."""
    for marker in item.iter_markers("covers"):
        refused = marker.kwargs.get("refused") or ""
        for row in marker.args:
            yield row, refused


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for row, refused in covered(item):
            if row not in ROWS:
                raise pytest.UsageError(
                    f"{item.nodeid} covers {row!r}, which is no row of tests/coverage/rows.py"
                )
            if refused and refused not in errno.errorcode.values():
                raise pytest.UsageError(f"{item.nodeid}: refused={refused!r} is no errno")
