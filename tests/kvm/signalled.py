# SPDX-License-Identifier: Apache-2.0
"""What a signal's handler does, at each place of chosen functions where Python may call it.

Python looks for signals behind calls of C, where a loop jumps back, and at a function's first line.
(A function of Python's that is not among the chosen ones counts as C.)
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from types import CodeType, FrameType

from tests.kvm.steps import watched

_LOOKING = {"CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME"}


class Hit(Exception):
    """What signals' handlers raise here."""


def hit() -> None:
    raise Hit


@cache
def _names(code: CodeType) -> dict[int, str]:
    return {one.offset: one.opname for one in dis.get_instructions(code)}


class _Looks:
    """Calls ``handler`` once, at the place with this number."""

    def __init__(
        self, codes: Collection[CodeType], handler: Callable[[], object], place: int
    ) -> None:
        self.handler = handler
        self.place = place
        self.seen = 0
        self._codes = codes
        self._before: dict[int, int] = {}
        self._returned = False

    def step(self) -> None:
        frame: FrameType | None = sys._getframe()
        while frame and frame.f_code not in self._codes:
            frame = frame.f_back
        assert frame
        names, place = _names(frame.f_code), frame.f_lasti
        before = self._before.get(id(frame), -1)
        self._before[id(frame)] = place
        name = names.get(before, "RESUME")
        returns = names[place].startswith("RETURN_")
        returned, self._returned = self._returned, returns
        # What is raised behind a call is raised by the call: a "return" is in no "try" any more.
        if (name in _LOOKING and not returned and not returns) or place < before:
            self.seen += 1
            if self.seen == self.place:
                self.handler()


def everywhere(
    body: Callable[[], object],
    handler: Callable[[], object],
    *functions: Callable[..., object],
    check: Callable[[], object] = lambda: None,
    most: int = 1000,
) -> int:
    """Calls ``body`` again and again, each time with the handler at the next place.

    What the handler raises ends ``body``; then ``check`` is called. Returns at how many places that
    was: all, or the first ``most``.
    """
    codes = {function.__code__ for function in functions}
    for place in range(1, most + 1):
        looks = _Looks(codes, handler, place)
        with suppress(Hit), watched(codes, looks.step):
            body()
        check()
        if looks.seen < place:
            return place - 1
    return most
