# SPDX-License-Identifier: Apache-2.0
"""Descriptors: who owns one, and what one is that somebody handed in."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from pykvm._native import lib
from pykvm.errors import failure

__all__ = ["Closing", "Descriptor", "HasFileno", "check_int", "duplicate", "kind_of", "number_of"]


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Closing:
    """``with`` for what has a ``close()``."""

    __slots__ = ()

    def close(self) -> None:
        """Releases what this object owns; again is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Descriptor:
    """Owns one descriptor and closes it once, at ``close()`` or with its last user.

    ``fd`` is -1 from before the descriptor is closed: a number that the kernel hands to somebody
    else can never be hit through this object.
    """

    __slots__ = ("__weakref__", "_forks", "fd", "what")

    def __init__(self, fd: int, what: str) -> None:
        self.fd = fd
        self.what = what
        self._forks = lib.forks_seen()

    @property
    def inherited(self) -> bool:
        """Whether a fork brought it here: KVM answers EIO to a child, which can only close."""
        return self._forks != lib.forks_seen()

    def call(
        self, function: Callable[..., int], ioctl: str, /, *values: object, **arguments: object
    ) -> int:
        """``function(fd, *values)``, tried again after a signal, or the error it stands for.

        ``arguments`` are what a person is shown: names and values of what was asked.
        """
        while (result := function(self.fd, *values)) < 0:
            if result != -errno.EINTR:
                raise failure(result, ioctl, self.what, self.fd, **arguments)
        return result

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            self.close()


def check_int(name: str, value: object, first: int, last: int) -> int:
    """``value`` as an int in ``first``..``last``, or a TypeError or ValueError that names it."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    number: int = value.__index__()
    if not first <= number <= last:
        raise ValueError(f"{name} is {number:#x}; it must be {first:#x} to {last:#x}")
    return number


def number_of(given: int | HasFileno) -> int:
    """The descriptor number of an int or of an object with ``fileno()``."""
    number = given if isinstance(given, int) else getattr(given, "fileno", lambda: None)()
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"a descriptor must be an int or have fileno(); got {type(given).__name__}")
    if not 0 <= number < 2**31:
        raise ValueError(f"{number} is no descriptor")
    return number


def duplicate(given: int | HasFileno) -> int:
    """An own, close-on-exec descriptor for the same file: the giver may close theirs."""
    number = number_of(given)
    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError as cause:
        if cause.errno == errno.EBADF:
            raise ValueError(f"descriptor {number} is not open") from None
        raise


def kind_of(fd: int) -> str:
    """What the kernel calls this file, as ``[eventfd]`` or ``kvm-vm``; empty without /proc."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}").removeprefix("anon_inode:")
    except OSError:
        return ""
