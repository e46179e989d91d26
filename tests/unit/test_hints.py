# SPDX-License-Identifier: Apache-2.0
"""Hints: each belongs to a call that is made, and helps a person."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

import pykvm
from pykvm.hints import _HINTS, hint_for

_SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for path in Path(pykvm.__file__).parent.glob("*.py")
    if path.stem != "hints"
)


def _is_made(call: str) -> bool:
    """Whether some code makes errors for a call of this name."""
    family = call.partition(" ")[0]
    return f'"{call}"' in _SOURCES or f'f"{family} {{kind}}"' in _SOURCES


@pytest.mark.parametrize(("call", "number"), _HINTS)
def test_hints_are_sentences_for_calls_that_are_made(call: str, number: int) -> None:
    assert re.fullmatch(r"[A-Z].*\.\)?", _HINTS[call, number])
    assert number in errno.errorcode
    assert not call or _is_made(call)


def test_the_call_s_own_hint_wins_over_the_errno_s() -> None:
    assert "huge pages" in hint_for("mmap hugetlb", errno.ENOMEM)
    assert hint_for("KVM_CREATE_VM", errno.ENOMEM) == _HINTS["", errno.ENOMEM]


def test_no_hint_is_better_than_a_wrong_one() -> None:
    assert hint_for("KVM_CREATE_VM", errno.EDOM) == ""
    assert hint_for("KVM_NO_SUCH", errno.EINVAL) == ""
