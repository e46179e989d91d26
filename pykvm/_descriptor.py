# SPDX-License-Identifier: Apache-2.0
"""Descriptors: who owns one, and what one is that somebody handed in."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from operator import index
from types import TracebackType
from typing import NoReturn, Protocol, Self

from pykvm._native import ffi, lib
from pykvm.errors import failure, naming

__all__ = [
    "Closing",
    "Descriptor",
    "HasFileno",
    "check_int",
    "check_ints",
    "duplicate",
    "kind_of",
    "number_of",
    "octets",
]


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

    def __reduce__(self) -> NoReturn:
        # A copy would own the same descriptor, and close it a second time.
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled: it owns what it has")


class Descriptor(Closing):
    """Owns one descriptor and closes it once, at ``close()`` or when its last user is gone.

    ``fd`` is -1 from before the descriptor is closed: a number that the kernel hands to somebody
    else can never be hit through this object.
    """

    __slots__ = ("__weakref__", "_forks", "_made", "fd", "what")

    def __init__(self, fd: int, what: str) -> None:
        self.fd = fd
        self.what = what
        self._forks = lib.forks_seen()
        #: Where C puts a new descriptor, and takes it from to close it.
        self._made = ffi.new("int *", fd)

    def receive(
        self,
        maker: Descriptor,
        function: Callable[..., int],
        ioctl: str,
        /,
        *values: object,
        **arguments: object,
    ) -> None:
        """Takes over what ``function`` makes, as :meth:`call` on ``maker``.

        The owner is there first: where a signal handler raises as the ioctl returns, it closes.
        """
        maker.call(function, ioctl, *values, self._made, **arguments)
        self.fd = self._made[0]

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
        self.fd = -1
        if (result := lib.close_once(self._made)) < 0:  # one call: another thread may close, too
            raise OSError(-result, os.strerror(-result))

    # Bound here because at the interpreter's end the module's names may be gone.
    def __del__(self, _suppress: type[contextlib.suppress] = contextlib.suppress) -> None:
        with _suppress(Exception):
            self.close()


def check_int(name: str, value: object, first: int, last: int) -> int:
    """``value`` as an int in ``first``..``last``, or a TypeError or ValueError that names it."""
    try:
        number = index(None if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None
    if not first <= number <= last:
        raise ValueError(f"{name} is {number:#x}; it must be {first:#x} to {last:#x}")
    return number


def check_ints(name: str, values: object, first: int, last: int) -> list[int]:
    """Several ints, each in ``first``..``last``, or a TypeError or ValueError that names them."""
    try:
        given = list(values)  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(f"{name} must be several, not {type(values).__name__}") from None
    return [check_int(name, value, first, last) for value in given]


def octets(name: str, value: object) -> memoryview:
    """The bytes of any contiguous buffer, or a TypeError that names it."""
    try:
        return memoryview(value).cast("B")  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{name} must be bytes or another contiguous buffer, not {type(value).__name__}"
        ) from None


def number_of(given: int | HasFileno) -> int:
    """The descriptor number of an int or of an object with ``fileno()``."""
    own = None if isinstance(given, (int, type)) else getattr(given, "fileno", None)
    number = own() if callable(own) else given
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"a descriptor must be an int or have fileno(); got {type(given).__name__}")
    if not 0 <= number < 2**31:
        raise ValueError(f"{number} is no descriptor")
    return number


def duplicate(given: int | HasFileno) -> int:
    """An own, close-on-exec descriptor for the same file: the giver may close theirs."""
    number = number_of(given)
    try:
        with naming("fcntl F_DUPFD_CLOEXEC", fd=number):
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
