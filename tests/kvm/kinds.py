# SPDX-License-Identifier: Apache-2.0
"""Kinds of arguments, and the wrong values that each must refuse, with the reason."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pykvm import EventFd


class Wrong(NamedTuple):
    """A value, the exception that it must meet, and a word of its message."""

    value: Any
    error: type[Exception]
    word: str


class Index:
    """A number that is no int, as NumPy's are."""

    def __init__(self, number: int) -> None:
        self._number = int(number)

    def __index__(self) -> int:
        return self._number


class BadIndex:
    """Says that it is a number, and is none."""

    def __index__(self) -> int:
        return "5"  # type: ignore[return-value]


class Kind:
    """What an argument takes. ``right`` values work as the valid one does."""

    def wrong(self, name: str) -> Iterator[Wrong]:
        yield from ()

    def right(self, valid: Any) -> list[Any]:
        return []


class Anything(Kind):
    """Judged by its truth alone."""


class Int(Kind):
    """A number from ``first`` to ``last``; with ``none``, also None."""

    def __init__(self, first: int, last: int, *, none: bool = False, bools: bool = False) -> None:
        self._first = first
        self._last = last
        self._none = none
        self._bools = bools

    def wrong(self, name: str) -> Iterator[Wrong]:
        for value in ("5", b"5", 5.0, 5j, [5], (5,), {}, object(), int, BadIndex(), math.nan):
            yield Wrong(value, TypeError, name)
        if not self._bools:
            yield Wrong(True, TypeError, name)
        if not self._none:
            yield Wrong(None, TypeError, name)
        for number in (self._first - 1, self._last + 1, -(2**63) - 1, -(2**70), 2**70, 10**400):
            yield Wrong(number, ValueError, name)
            yield Wrong(Index(number), ValueError, name)

    def right(self, valid: Any) -> list[Any]:
        return [] if valid is None else [Index(valid), type("MyInt", (int,), {})(valid)]


class Seconds(Kind):
    def wrong(self, name: str) -> Iterator[Wrong]:
        for value in ("1", b"1", [1], object(), True, 1j):
            yield Wrong(value, TypeError, name)
        for number in (-1, -0.001, -math.inf, math.nan):
            yield Wrong(number, ValueError, name)


class Buffer(Kind):
    """Bytes to read; with ``writable``, a buffer that the kernel may fill."""

    def __init__(self, *, none: bool = False) -> None:
        self._none = none

    def wrong(self, name: str) -> Iterator[Wrong]:
        scattered = memoryview(bytearray(64))[::2]
        for value in ("text", 1.5, [1], object(), bytes, scattered):
            yield Wrong(value, TypeError, name)
        if not self._none:
            yield Wrong(None, TypeError, name)


class Descriptor(Kind):
    """A descriptor of an eventfd, as a number or as an object with fileno().

    With ``none``, also None; with ``bools``, also a bool.
    """

    def __init__(self, *, none: bool = False, bools: bool = False) -> None:
        self._none = none
        self._bools = bools

    def wrong(self, name: str) -> Iterator[Wrong]:
        for value in ("5", b"5", 5.0, [5], object(), EventFd, type("F", (), {"fileno": 5})()):
            yield Wrong(value, TypeError, "descriptor")
        if not self._bools:
            yield Wrong(True, TypeError, "descriptor")
        if not self._none:
            yield Wrong(None, TypeError, "descriptor")
        for number in (-1, -(2**70), 2**31, 2**70):
            yield Wrong(number, ValueError, "descriptor")
        yield Wrong(2**31 - 1, ValueError, "not open")
        closed = EventFd()
        closed.close()
        yield Wrong(closed, ValueError, "EventFd is closed")
        with _pipe() as end:
            yield Wrong(end, Exception, "")


@contextmanager
def _pipe() -> Iterator[int]:
    ends = os.pipe()
    try:
        yield ends[0]
    finally:
        for end in ends:
            os.close(end)


class Several(Kind):
    """Several of a kind; with ``none``, also None."""

    def __init__(self, kind: Kind, *, none: bool = False) -> None:
        self._kind = kind
        self._none = none

    def wrong(self, name: str) -> Iterator[Wrong]:
        for value in (5, 1.5, object()):
            yield Wrong(value, TypeError, name)
        if not self._none:
            yield Wrong(None, TypeError, name)
        for wrong in self._kind.wrong(name):
            yield Wrong([wrong.value], wrong.error, wrong.word)


class Other(Kind):
    """What only a list of wrong values describes."""

    def __init__(self, *wrong: Wrong) -> None:
        self._wrong = wrong

    def wrong(self, name: str) -> Iterator[Wrong]:
        yield from self._wrong
