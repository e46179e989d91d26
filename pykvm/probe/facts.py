# SPDX-License-Identifier: Apache-2.0
"""One thing that a host was asked: what it answered, or how that failed."""

from __future__ import annotations

import errno as _errno
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pykvm.errors import KvmError, KvmUnsupportedError

__all__ = ["Fact", "Value", "asked", "taken"]

Value: TypeAlias = bool | int | str | tuple[int, ...] | tuple[str, ...] | Mapping[str, str] | None

#: What the kernel says where it, or the hardware, does not have what was asked for.
NOT_HERE = (_errno.EINVAL, _errno.ENODEV, _errno.ENOENT, _errno.ENXIO, _errno.ENOTTY)


@dataclass(frozen=True)
class Fact:
    """An answer. ``state`` is "value", "no" (the host has no such thing) or "failed".

    ``value`` is there with the first, ``errno`` (its name, as "EPERM") with the last; of a "no",
    ``errno`` is what the kernel said it by, if it was an errno. ``source`` is the call, or the
    file, that was asked.
    """

    state: Literal["value", "no", "failed"]
    value: Value = None
    errno: str | None = None
    source: str = ""

    @classmethod
    def of(cls, value: Value, source: str) -> Fact:
        """A value; nothing, in any form, is a no."""
        return cls("value", value, None, source) if value else cls("no", None, None, source)

    @classmethod
    def no(cls, source: str, error: int | None = None) -> Fact:
        """The host has no such thing."""
        name = _errno.errorcode.get(error, str(error)) if error else None
        return cls("no", None, name, source)

    @classmethod
    def failed(cls, source: str, error: int | None) -> Fact:
        """The question itself failed."""
        number = error or 0
        return cls("failed", None, _errno.errorcode.get(number, str(number)), source)

    @property
    def yes(self) -> bool:
        """Whether there is such a thing."""
        return self.state == "value"


def asked(source: str, call: Callable[[], Value], *, no: Collection[int] = NOT_HERE) -> Fact:
    """The fact that ``call`` returns; ``no`` are the errnos that are an answer."""
    try:
        return Fact.of(call(), source)
    except KvmUnsupportedError:
        return Fact.no(source)
    except OSError as refusal:
        if isinstance(refusal, KvmError):
            source = f"{source} ({refusal.ioctl})" if refusal.ioctl not in source else source
        if refusal.errno in no:
            return Fact.no(source, refusal.errno)
        return Fact.failed(source, refusal.errno)


def taken(call: Callable[..., object], *arguments: object) -> bool:
    """Whether the kernel takes what is tried: EINVAL says that it does not."""
    try:
        call(*arguments)
    except KvmError as refusal:
        if refusal.errno != _errno.EINVAL:
            raise
        return False
    return True
