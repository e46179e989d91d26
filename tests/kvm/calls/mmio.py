# SPDX-License-Identifier: Apache-2.0
"""Calls for MMIO ranges, and for a vCPU's thread."""

from __future__ import annotations

from typing import Any

from tests.kvm.calls.table import OPEN_EVENTFD, U64, Call
from tests.kvm.kinds import Anything, Buffer, Int, Other, Seconds, Wrong
from tests.kvm.stage import Stage

_RANGE = {"gpa": (0x2000, Int(0, U64)), "size": (4, Int(1, 2**64))}
_LATCH = {"gpa": (0x2000, Int(0, U64)), "size": (4, Int(1, 8))}


def _function(name: str, *, by_width: bool = False) -> Other:
    wrong = [Wrong(value, TypeError, name) for value in (5, "f", b"f", [print])]
    if by_width:
        wrong += [Wrong({width: print}, ValueError, name) for width in (0, 3, 16, -1, "4", True)]
        wrong += [Wrong({4: value}, TypeError, name) for value in (None, 5, "f")]
    return Other(*wrong)


_THREAD = Other(*(Wrong(value, TypeError, "vcpu") for value in (None, 5, "vcpu", object())))
_NAME = Other(*(Wrong(value, TypeError, "name") for value in (5, b"name", object())))


def _running(stage: Stage) -> Any:
    return stage["running"]


CALLS: list[Call] = [
    Call(
        "VM.mmio_handler",
        "vm",
        {
            **_RANGE,
            "read": (print, _function("read", by_width=True)),
            "write": ({1: print}, _function("write", by_width=True)),
        },
    ),
    Call(
        "VM.mmio_constant",
        "vm",
        {"gpa": _RANGE["gpa"], "size": (4, Int(1, 2**16)), "value": (bytes(4), Buffer())},
    ),
    Call("VM.mmio_ignore", "vm", _RANGE),
    Call("VM.mmio_counter", "vm", _RANGE),
    Call(
        "VM.mmio_latch",
        "vm",
        {**_LATCH, "value": (5, Int(0, 2**32 - 1)), "read_only": (True, Anything())},
    ),
    Call(
        "VM.mmio_ring",
        "vm",
        {
            **_RANGE,
            "write": (print, _function("write")),
            "read": (print, _function("read", by_width=True)),
            "capacity": (9, Int(1, 2**16)),
            "eventfd": OPEN_EVENTFD,
        },
    ),
    Call("MmioRange.close", "range", closed=None),
    Call("MmioRange.closed", "range", closed=None),
    Call("MmioLatch.value", "latch", closed=None),
    Call("MmioLatch.value=", "latch", {"value": (5, Int(0, 2**32 - 1))}, closed=None),
    Call("MmioCounter.loads", "counter", closed=None),
    Call("MmioCounter.stores", "counter", closed=None),
    Call("MmioRing.take", "ring", closed=None),
    Call("MmioRing.deliver", "handled_ring", closed=None),
    Call("Vcpu.complete_mmio", "loading"),
    Call(
        "VcpuThread",
        "",
        {
            "vcpu": (_running, _THREAD),
            "handler": (print, _function("handler")),
            "name": ("cpu", _NAME),
        },
    ),
    Call("VcpuThread.close", "thread", closed=None),
    Call("VcpuThread.closed", "thread", closed=None),
    Call("VcpuThread.ended", "thread", closed=None),
    Call("VcpuThread.fileno", "thread"),
    Call("VcpuThread.join", "thread", {"timeout": (60, Seconds())}, closed=None),
    Call("VcpuThread.stop", "thread", {"timeout": (60, Seconds())}, closed=None),
]
