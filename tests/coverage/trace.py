# SPDX-License-Identifier: Apache-2.0
"""The trace of the test build: which calls the binding made, and one of them left out.

``trace.c`` is compiled into the module for emulated hosts; where a module was built without it,
:func:`available` says so.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

__all__ = ["Call", "available", "calls", "muted", "reset"]

#: How the kernel calls the descriptors.
SYSTEM, VM, VCPU = "/dev/kvm", "kvm-vm", "kvm-vcpu"


class Call(NamedTuple):
    """Calls that are the same in all of this; ``key`` is what they were about (trace.c)."""

    kind: str
    number: int
    key: int
    outcome: int
    """-errno; of KVM_CHECK_EXTENSION 1 if it answered more than 0; else 0."""


@cache
def _library() -> Any:
    from pykvm import _kvm

    library = ctypes.CDLL(_kvm.__file__)
    return library if hasattr(library, "pykvm_trace_read") else None


def available() -> bool:
    """Whether the module in use is the test build."""
    return _library() is not None


def reset() -> None:
    """Forgets what was seen so far."""
    _library().pykvm_trace_reset()


def calls() -> Iterator[Call]:
    """What was called since the last reset."""
    kind = ctypes.create_string_buffer(32)
    number, key, outcome = ctypes.c_uint32(), ctypes.c_uint64(), ctypes.c_int64()
    refs = [ctypes.byref(each) for each in (number, key, outcome)]
    index = 0
    while _library().pykvm_trace_read(index, kind, *refs):
        yield Call(kind.value.decode(), number.value, key.value, outcome.value)
        index += 1


@contextmanager
def muted(kinds: Iterable[str], numbers: Iterable[int], key: int | None) -> Iterator[None]:
    """While this lasts, such calls are not made: they return 0. No key: whatever they are about."""
    library = _library()
    for kind, number in itertools.product(kinds, numbers):
        library.pykvm_trace_mute(
            kind.encode(), ctypes.c_uint32(number), ctypes.c_uint64(key or 0), int(key is None)
        )
    try:
        yield
    finally:
        library.pykvm_trace_unmute()
