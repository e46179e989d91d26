# SPDX-License-Identifier: Apache-2.0
"""Calls that switch a VM's capabilities on."""

from __future__ import annotations

from pykvm import Cap
from tests.kvm.calls.table import U32, U64, Call
from tests.kvm.kinds import Anything, Int, Several

CALLS: list[Call] = [
    Call(
        "VM.enable_cap",
        "vm",
        {
            "cap": (Cap.HALT_POLL, Int(0, U32)),
            "args": ([0], Several(Int(0, U64))),
            "flags": (0, Int(0, U32)),
        },
    ),
    Call("VM.enable_arm_eager_split_chunk_size", "vm", {"size": (0, Int(0, U64))}),
    Call("VM.enable_arm_mte", "vm"),
    Call("VM.enable_arm_nisv_to_user", "vm"),
    Call("VM.enable_arm_sea_to_user", "vm"),
    Call("VM.enable_arm_system_suspend", "vm"),
    Call("VM.enable_arm_writable_imp_id_regs", "vm"),
    Call("VM.enable_dirty_log_ring", "vm", {"size": (65536, Int(1, U32))}),
    Call("VM.enable_dirty_log_ring_with_bitmap", "vm"),
    Call("VM.enable_halt_poll", "vm", {"max_ns": (0, Int(0, U32))}),
    Call(
        "VM.enable_manual_dirty_log_protect2",
        "vm",
        {"initially_set": (False, Anything()), "on": (True, Anything())},
    ),
]
