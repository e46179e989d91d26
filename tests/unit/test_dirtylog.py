# SPDX-License-Identifier: Apache-2.0
"""Dirty logs as runs of pages."""

from __future__ import annotations

import pytest

from pykvm import PageRun, page_runs


@pytest.mark.parametrize(
    ("bitmap", "runs"),
    [
        (b"", []),
        (bytes(64), []),
        (b"\x01", [(0, 1)]),
        (b"\x80", [(7, 1)]),
        (b"\0\0\x06\0", [(17, 2)]),
        (b"\x80\x01", [(7, 2)]),
        (b"\xff" * 9, [(0, 72)]),
        (b"\x05\0\0\0\0\0\0\x80\x81", [(0, 1), (2, 1), (63, 2), (71, 1)]),
        (bytearray(b"\x10"), [(4, 1)]),
        (memoryview(b"\x10\xff")[:1], [(4, 1)]),
    ],
)
def test_runs_are_what_is_set(bitmap: bytes, runs: list[tuple[int, int]]) -> None:
    assert page_runs(bitmap) == runs


def test_a_run_tells_its_parts() -> None:
    (run,) = page_runs(b"\x0c")
    assert (run.first, run.pages) == (2, 2)
    assert isinstance(run, PageRun)
