# SPDX-License-Identifier: Apache-2.0
"""Calls that move much at once, or one number the quick way."""

from __future__ import annotations

from tests.kvm.calls.table import REG, U32, U64, X0, Call
from tests.kvm.kinds import Buffer, Int, Several
from tests.kvm.machines import MEMORY_SIZE

_BITMAP = (b"\x06" + bytes(7), Buffer())
_REGS = ([X0], Several(REG))
#: The quick way takes a bool for the number that it is.
_ATTRIBUTE = {"group": (99, Int(0, U32, bools=True)), "attr": (0, Int(0, U64, bools=True))}
_PLACE = {
    "offset": (8, Int(0, MEMORY_SIZE - 8, bools=True)),
    "size": (8, Int(1, 8, bools=True)),
}
_NUMBER = {**_PLACE, "value": (5, Int(0, U64, bools=True))}

CALLS: list[Call] = [
    Call("Device.get_device_attr_number", "device", _ATTRIBUTE),
    Call("GuestMemory.load", "memory", _PLACE),
    Call("GuestMemory.load_acquire", "memory", _PLACE),
    Call(
        "GuestMemory.read_into",
        "memory",
        {
            "offset": (0, Int(0, MEMORY_SIZE)),
            "target": (lambda stage: bytearray(16), Buffer()),
        },
    ),
    Call("GuestMemory.store", "memory", _NUMBER),
    Call("GuestMemory.store_release", "memory", _NUMBER),
    Call("RegisterSet", "", {"regs": _REGS}),
    Call("Vcpu.get_device_attr_number", "vcpu", _ATTRIBUTE),
    Call("Vcpu.get_regs", "vcpu", {"regs": _REGS}),
    Call(
        "Vcpu.set_regs",
        "vcpu",
        {"regs": _REGS, "values": ([5], Several(Int(0, U64, bools=True)))},
    ),
    Call("GuestMemory.hva", "memory"),
    Call("memory_fence", ""),
    Call("bitmap_count", "", {"bitmap": _BITMAP}),
    Call("bitmap_pages", "", {"bitmap": _BITMAP}),
    Call("bitmap_runs", "", {"bitmap": _BITMAP, "merge_gap": (0, Int(0, U32))}),
]
