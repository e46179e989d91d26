# SPDX-License-Identifier: Apache-2.0
"""Calls on memory of guests."""

from __future__ import annotations

from tests.kvm.calls.table import Call
from tests.kvm.kinds import Anything, Buffer, Descriptor, Int
from tests.kvm.machines import MEMORY_SIZE

_SIZE = Int(1, 1 << 52)

CALLS: list[Call] = [
    Call("GuestMemory", "", {"size": (MEMORY_SIZE, _SIZE), "huge_pages": (False, Anything())}),
    Call("GuestMemory.close", "memory", closed=None),
    Call("GuestMemory.closed", "memory", closed=None),
    Call(
        "GuestMemory.device",
        "",
        {
            "given": (lambda stage: stage["file"], Descriptor()),
            "offset": (0, Int(0, 1 << 52)),
            "size": (MEMORY_SIZE, _SIZE),
        },
    ),
    Call(
        "GuestMemory.file",
        "",
        {
            "given": (lambda stage: stage["file"], Descriptor()),
            "size": (MEMORY_SIZE, _SIZE),
            "offset": (0, Int(0, 1 << 52)),
            "private": (False, Anything()),
        },
    ),
    Call("GuestMemory.memfd", "", {"size": (MEMORY_SIZE, _SIZE), "hugetlb": (False, Anything())}),
    Call(
        "GuestMemory.read",
        "memory",
        {
            "offset": (0, Int(0, MEMORY_SIZE, bools=True)),
            "size": (16, Int(0, MEMORY_SIZE, bools=True)),
        },
    ),
    Call("GuestMemory.size", "memory", closed=None),
    Call(
        "GuestMemory.view",
        "memory",
        {"offset": (0, Int(0, MEMORY_SIZE)), "size": (16, Int(0, MEMORY_SIZE, none=True))},
    ),
    Call(
        "GuestMemory.write",
        "memory",
        {"offset": (0, Int(0, MEMORY_SIZE, bools=True)), "data": (b"bytes", Buffer())},
    ),
]
