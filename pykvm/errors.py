# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, told so that one can act on it.

Wrong arguments are ``TypeError`` and ``ValueError``, as everywhere in Python. A refusal by the
kernel is a :class:`KvmError`: an ``OSError`` that also names the ioctl, its arguments and the
likely cause. What a guest does is never an exception, but a value (:mod:`pykvm.exits`).
"""

from __future__ import annotations

import errno as _errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pykvm._native import lib
from pykvm.hints import hint_for

__all__ = [
    "ClosedError",
    "KvmBusyError",
    "KvmError",
    "KvmExistsError",
    "KvmNotFoundError",
    "KvmPermissionError",
    "KvmUnsupportedError",
    "KvmWouldBlockError",
]


class ClosedError(ValueError):
    """The object was closed (or the one it belongs to was)."""


class KvmError(OSError):
    """The kernel refused a call, or pykvm did in its place.

    Attributes: ``errno`` and ``strerror`` as in any ``OSError``; ``ioctl``, the call's name (of an
    ioctl, of another system call, or of what was asked of pykvm); ``arguments``, a dict of what was
    asked; ``hint``, the likely cause, or an empty string.
    """

    def __init__(
        self, errno: int, ioctl: str, arguments: dict[str, object] | None = None, hint: str = ""
    ) -> None:
        super().__init__(errno, os.strerror(errno))
        self.ioctl = ioctl
        self.arguments = dict(arguments or {})
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.ioctl, self.arguments, self.hint)

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={_show(name, v)}" for name, v in self.arguments.items())
        name = _errno.errorcode.get(self.errno or 0, str(self.errno))
        text = f"{self.ioctl}({shown}): {self.strerror} [{name}]"
        return f"{text}. {self.hint}" if self.hint else text


class KvmPermissionError(KvmError, PermissionError):
    """EPERM or EACCES."""


class KvmNotFoundError(KvmError, FileNotFoundError):
    """ENOENT: no such node, register or registration."""


class KvmExistsError(KvmError, FileExistsError):
    """EEXIST: made or set before."""


class KvmBusyError(KvmError):
    """EBUSY: something is in use, or it is too late (or too early) for this call."""


class KvmWouldBlockError(KvmError, BlockingIOError):
    """EAGAIN: not now; what it waits for is in the message."""


class KvmUnsupportedError(KvmError):
    """The call does not exist on this machine's architecture."""


_CLASSES: dict[int, type[KvmError]] = {
    _errno.EPERM: KvmPermissionError,
    _errno.EACCES: KvmPermissionError,
    _errno.ENOENT: KvmNotFoundError,
    _errno.EEXIST: KvmExistsError,
    _errno.EBUSY: KvmBusyError,
    _errno.EAGAIN: KvmWouldBlockError,
}

_ADDRESSES = ("gpa", "hva", "addr", "size", "reg_id", "flags", "features", "request", "line")


def _show(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        plain = int(value)  # an enum would show as its class
        return hex(plain) if name.endswith(_ADDRESSES) else str(plain)
    return repr(value)


def kvm_error(errno: int, ioctl: str, /, **arguments: object) -> KvmError:
    """The exception for ``errno`` (positive) of ``ioctl``, with what is known of its cause."""
    return _CLASSES.get(errno, KvmError)(errno, ioctl, arguments, hint_for(ioctl, errno))


@contextmanager
def naming(call: str, /, **arguments: object) -> Iterator[None]:
    """Makes an OSError of Python's own calls a KvmError, which says what was tried."""
    try:
        yield
    except OSError as cause:
        if isinstance(cause, KvmError) or not cause.errno:
            raise
        raise kvm_error(cause.errno, call, **arguments) from None


def failure(result: int, ioctl: str, what: str, fd: int, /, **arguments: object) -> Exception:
    """The exception for a wrapper's negative ``result``.

    ``fd`` is the descriptor after the call: -1 says that the object is closed, whatever errno the
    kernel found for it.
    """
    if fd < 0 or result == lib.PYKVM_CLOSED:
        return ClosedError(f"{ioctl}: this {what} is closed")
    if result == lib.PYKVM_NOT_ARM64:
        return KvmUnsupportedError(
            _errno.EOPNOTSUPP,
            ioctl,
            arguments,
            f"What was asked is arm64's; on this machine, {os.uname().machine}, the same number "
            f"means something else. Nothing was sent to the kernel.",
        )
    if result == lib.PYKVM_INSIDE:
        return KvmBusyError(
            _errno.EBUSY,
            ioctl,
            arguments,
            f"Another thread is inside run() of this {what}. One thread at a time; kick() it out.",
        )
    if result == lib.PYKVM_HANDLING:
        return KvmBusyError(
            _errno.EBUSY,
            ioctl,
            arguments,
            f"This thread is inside run() of this {what}, in a handler: let that return first.",
        )
    return kvm_error(-result, ioctl, **arguments)
