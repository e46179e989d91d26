# SPDX-License-Identifier: Apache-2.0
"""Calls on what a VM makes of memory: slots and their logs, guest_memfds, rings, tags."""

from __future__ import annotations

import mmap

from tests.kvm.calls.table import U32, U64, Call
from tests.kvm.kinds import Anything, Int, Other, Wrong
from tests.kvm.machines import DOORBELL_GPA, MEMORY_GPA, MEMORY_SIZE

_PAGES = MEMORY_SIZE // mmap.PAGESIZE
_RANGE = {"offset": (0, Int(0, MEMORY_SIZE - 1)), "size": (None, Int(1, MEMORY_SIZE, none=True))}
_GUEST_MEMFD = Other(*(Wrong(v, TypeError, "guest_memfd") for v in (None, 5, b"", object())))
_BITMAP = Other(
    *(Wrong(value, TypeError, "bitmap") for value in (None, "text", 5, [1], object())),
    *(Wrong(bytes(size), ValueError, "bitmap has") for size in (0, 1, 7, 9, 16)),
)
_TAGS = Other(
    *(Wrong(value, TypeError, "tags") for value in (None, "text", 5, [1], object())),
    Wrong(b"", ValueError, "tags are empty"),
    Wrong(bytes([16]) * (mmap.PAGESIZE // 16), ValueError, "from 0 to 15"),
    Wrong(bytes(5), ValueError, "no multiple of the host's page"),
)

CALLS: list[Call] = [
    Call("CoalescedMmio.close", "coalesced", closed=None),
    Call("CoalescedMmio.closed", "coalesced", closed=None),
    Call("GuestMemfd.allocate", "guest_memfd", _RANGE),
    Call("GuestMemfd.close", "guest_memfd", closed=None),
    Call("GuestMemfd.closed", "guest_memfd", closed=None),
    Call("GuestMemfd.fileno", "guest_memfd"),
    Call("GuestMemfd.map", "guest_memfd", _RANGE),
    Call("GuestMemfd.punch_hole", "guest_memfd", _RANGE),
    Call("GuestMemfd.shared", "guest_memfd", closed=None),
    Call(
        "MemorySlot.clear_dirty_log",
        "logged",
        {
            "first_page": (0, Int(0, _PAGES - 1)),
            "num_pages": (_PAGES, Int(1, _PAGES)),
            "bitmap": (bytes(8), _BITMAP),
        },
    ),
    Call("MemorySlot.close", "slot", closed=None),
    Call("MemorySlot.closed", "slot", closed=None),
    Call("MemorySlot.dirty_pages", "logged"),
    Call("MemorySlot.dirty_runs", "logged", {"merge_gap": (0, Int(0, U32))}),
    Call("MemorySlot.get_dirty_log", "logged"),
    Call("MemorySlot.gpa", "slot", closed=None),
    Call("MemorySlot.log_dirty", "slot", closed=None),
    Call("MemorySlot.log_dirty=", "slot", {"log_dirty": (True, Anything())}),
    Call("MemorySlot.move", "slot", {"gpa": (0, Int(0, U64))}),
    Call("MemorySlot.pages", "slot", closed=None),
    Call(
        "VM.add_guest_memfd",
        "memfd_vm",
        {
            "gpa": (MEMORY_GPA, Int(0, U64)),
            "guest_memfd": (lambda stage: stage["guest_memfd"], _GUEST_MEMFD),
            "slot": (3, Int(0, 2**16 - 1, none=True)),
            **_RANGE,
        },
    ),
    Call(
        "VM.arm_mte_read_tags",
        "vm",
        {
            "gpa": (MEMORY_GPA, Int(0, U64)),
            "size": (MEMORY_SIZE, Int(mmap.PAGESIZE, 1 << 52)),
        },
    ),
    Call(
        "VM.arm_mte_write_tags",
        "vm",
        {
            "gpa": (MEMORY_GPA, Int(0, U64)),
            "tags": (bytes(mmap.PAGESIZE // 16), _TAGS),
        },
    ),
    Call(
        "VM.create_guest_memfd",
        "vm",
        {
            "size": (MEMORY_SIZE, Int(1, 1 << 52)),
            "flags": (3, Int(0, U64)),
        },
    ),
    Call(
        "VM.register_coalesced_mmio",
        "vm",
        {
            "gpa": (DOORBELL_GPA, Int(0, U64)),
            "size": (8, Int(1, U32)),
        },
    ),
    Call("VM.reset_dirty_rings", "vm"),
    Call("Vcpu.drain_coalesced_mmio", "vcpu"),
    Call("Vcpu.harvest_dirty_ring", "ringed"),
]
