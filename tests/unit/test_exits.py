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
    ArmLdst64b,
    ArmNisv,
    ArmSea,
    Debug,
    DebugCause,
    DirtyRingFull,
    Exit,
    FailEntry,
    Hypercall,
    InternalError,
    Interrupted,
    MemoryFault,
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


def run_with(union: bytes, flags: int = 0) -> Any:
    """A kvm_run whose union holds these bytes."""
    run = ffi.new("struct kvm_run *")
    run.flags = flags
    ffi.memmove(ffi.cast("char *", run) + _UNION_OFFSET, union, len(union))
    return run


@pytest.mark.covers("exit INTERNAL_ERROR", "exit ARM_SEA", "exit ARM_LDST64B", "event CRASH")
@pytest.mark.parametrize(
    ("reason", "union", "value"),
    [
        (6, struct.pack("<Q8sIB", 0x1000, b"\1\2\3\4", 4, 0), MmioRead(0x1000, 4)),
        (6, struct.pack("<Q8sIB", 2**52, b"\1\2\3\4", 2, 1), MmioWrite(2**52, b"\1\2")),
        (6, struct.pack("<Q8sIB", 0, b"12345678", 8, 1), MmioWrite(0, b"12345678")),
        (3, struct.pack("<Q6QQQ", 0xC600_0001, *range(6), 0, 3), Hypercall(0xC600_0001, 3)),
        (4, struct.pack("<IIQ", 0xF200_0007, 5, 0x4000), Debug(0xF200_0007, 0x4000)),
        (9, struct.pack("<QI", 1, 3), FailEntry(1, 3)),
        (10, b"", Interrupted(by="line")),
        (17, struct.pack("<II2Q", 1, 2, 5, 6), InternalError(1, (5, 6))),
        (24, struct.pack("<II2Q", 1, 1, 7, 8), SystemEvent(SystemEventType.SHUTDOWN, (7,))),
        (24, struct.pack("<II", 2, 0), SystemEvent(2, ())),
        (24, struct.pack("<II", 3, 0), SystemEvent(SystemEventType.CRASH, ())),
        (24, struct.pack("<II", 77, 0), SystemEvent(77, ())),
        (28, struct.pack("<QQ", 0x47, 0xA00_0000), ArmNisv(0x47, 0xA00_0000)),
        (31, b"\xff", DirtyRingFull()),
        (39, struct.pack("<QQQ", 8, 0x4000_0000, 4096), MemoryFault(8, 0x4000_0000, 4096)),
        (41, struct.pack("<4Q", 1, 0x9200_0010, 5, 7), ArmSea(0x9200_0010, 5, 7)),
        (41, struct.pack("<4Q", 0, 0x9200_0010, 5, 7), ArmSea(0x9200_0010, 5, None)),
        (42, struct.pack("<QQ", 0x35, 0xA00_0000), ArmLdst64b(0x35, 0xA00_0000)),
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


def test_a_memory_fault_on_broken_memory() -> None:
    found = exit_of(run_with(struct.pack("<QQQ", 0, 0x1000, 4096)), lib.PYKVM_POISONED)
    assert found == MemoryFault(0, 0x1000, 4096, poisoned=True)


def test_the_upper_half_of_a_syndrome_counts_where_it_is_said_to() -> None:
    union = struct.pack("<IIQ", 0xD200_0061, 5, 0x4000)
    assert exit_of(run_with(union), 4) == Debug(0xD200_0061, 0x4000)
    assert exit_of(run_with(union, flags=1), 4) == Debug(5 << 32 | 0xD200_0061, 0x4000)


@pytest.mark.parametrize(
    ("esr", "cause"),
    [
        (0x30 << 26, DebugCause.BREAKPOINT),
        (0x32 << 26, DebugCause.SINGLE_STEP),
        (1 << 35 | 0x34 << 26, DebugCause.WATCHPOINT),
        (0x38 << 26, DebugCause.BKPT32),
        (0x3C << 26, DebugCause.BRK),
        (0x3D << 26, 0x3D),
    ],
)
def test_what_a_debug_exit_came_from(esr: int, cause: int) -> None:
    found = Debug(esr | 0xABC, 0)
    assert (found.cause, found.comment) == (cause, 0xABC)
    assert type(found.cause) is type(cause)


def test_what_the_bits_of_exits_mean() -> None:
    smc = Hypercall(0, lib.KVM_HYPERCALL_EXIT_SMC)
    narrow = Hypercall(0, lib.KVM_HYPERCALL_EXIT_16BIT)
    assert [(call.is_smc, call.is_16bit) for call in (Hypercall(0), smc, narrow)] == [
        (False, False), (True, False), (False, True),
    ]  # fmt: skip
    assert [ArmNisv(iss, 0).is_write for iss in (0x3F, 0x40)] == [False, True]
    assert [SystemEvent(2, data).is_newer_call for data in ((), (0,), (1,))] == [False, False, True]


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
