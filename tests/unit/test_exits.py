# SPDX-License-Identifier: Apache-2.0
"""exit_of(): every exit as a value, decoded from the bytes that the kernel lays out.

The offsets are written down here once more, from api.rst; that the compiled module agrees with the
kernel's own headers is the oracle's business, and that guests cause these exits the other tiers'.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pykvm import (
    Exit,
    FailEntry,
    InternalError,
    Interrupted,
    MmioRead,
    MmioWrite,
    SystemEvent,
    SystemEventType,
    Unknown,
)
from pykvm._native import ffi, lib
from pykvm.exits import exit_of

_UNION_OFFSET = 32
_UNION_SIZE = 256


def run_with(union: bytes) -> Any:
    """A kvm_run whose union holds these bytes."""
    run = ffi.new("struct kvm_run *")
    ffi.memmove(ffi.cast("char *", run) + _UNION_OFFSET, union, len(union))
    return run


@pytest.mark.parametrize(
    ("reason", "union", "value"),
    [
        (6, struct.pack("<Q8sIB", 0x1000, b"\1\2\3\4", 4, 0), MmioRead(0x1000, 4)),
        (6, struct.pack("<Q8sIB", 2**52, b"\1\2\3\4", 2, 1), MmioWrite(2**52, b"\1\2")),
        (6, struct.pack("<Q8sIB", 0, b"12345678", 8, 1), MmioWrite(0, b"12345678")),
        (9, struct.pack("<QI", 1, 3), FailEntry(1, 3)),
        (17, struct.pack("<II2Q", 1, 2, 5, 6), InternalError(1, (5, 6))),
        (24, struct.pack("<II2Q", 1, 1, 7, 8), SystemEvent(SystemEventType.SHUTDOWN, (7,))),
        (24, struct.pack("<II", 2, 0), SystemEvent(2, ())),
        (24, struct.pack("<II", 77, 0), SystemEvent(77, ())),
        (0, b"", Unknown(0, bytes(_UNION_SIZE))),
        (99, b"\xaa", Unknown(99, b"\xaa" + bytes(_UNION_SIZE - 1))),
    ],
)
def test_values(reason: int, union: bytes, value: Exit) -> None:
    found = exit_of(run_with(union), reason)
    assert found == value
    assert type(found) is type(value)


def test_a_kick() -> None:
    assert exit_of(run_with(b""), lib.PYKVM_INTERRUPTED) == Interrupted(by="kick")


@pytest.mark.parametrize("reason", [6, 17, 24])
def test_lengths_that_no_kernel_gives_read_nothing_beyond(reason: int) -> None:
    """Two threads that share a vCPU against the rules may mix two exits: not a reason to crash."""
    found = exit_of(run_with(b"\xff" * _UNION_SIZE), reason)
    match found:
        case MmioWrite():
            assert found.data == b"\xff" * 8
        case InternalError() | SystemEvent():
            assert found.data == (2**64 - 1,) * 16
        case _:
            raise AssertionError(found)


def test_the_value_stays_when_the_page_changes() -> None:
    run = run_with(struct.pack("<Q8sIB", 0x1000, b"\1\2\3\4", 4, 1))
    found = exit_of(run, 6)
    ffi.memmove(ffi.cast("char *", run) + _UNION_OFFSET, bytes(64), 64)
    assert found == MmioWrite(0x1000, b"\1\2\3\4")


def test_a_store_as_a_number() -> None:
    store = MmioWrite(0, b"\x01\x02\0\0")
    assert (store.size, store.value) == (4, 0x201)


def test_for_match() -> None:
    match exit_of(run_with(struct.pack("<II", 1, 0)), 24):
        case SystemEvent(type=SystemEventType.SHUTDOWN, data=()):
            pass
        case other:
            raise AssertionError(other)


def test_event_types_have_the_kernels_numbers() -> None:
    for event in SystemEventType:
        assert int(event) == getattr(lib, f"KVM_SYSTEM_EVENT_{event.name}")
