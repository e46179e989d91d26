# SPDX-License-Identifier: Apache-2.0
"""Enumerations whose members tell what they mean."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

__all__ = ["Described"]


class Described(IntEnum):
    """An IntEnum with members ``NAME = number, "what it means"``; the words are its ``__doc__``.

    A string below the member would be gone when the program runs, and the probe shows them.
    """

    def __new__(cls, value: int, meaning: str = "") -> Self:
        """A member. The default is there for type checkers, which take ``cls(value)`` for this."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.__doc__ = meaning
        return member
