# SPDX-License-Identifier: Apache-2.0
"""Calls that decide about a VM's hypercalls and counters."""

from __future__ import annotations

from pykvm import SmcccAction
from tests.kvm.calls.table import U32, U64, Call
from tests.kvm.kinds import Int

CALLS: list[Call] = [
    Call("VM.arm_set_counter_offset", "vm", {"offset": (1000, Int(0, U64))}),
    Call("VM.has_smccc_filter", "vm"),
    Call(
        "VM.set_smccc_filter",
        "vm",
        {
            "base": (0xC600_0000, Int(0, U32)),
            "nr_functions": (1, Int(1, U32)),
            "action": (SmcccAction.DENY, Int(0, 255)),
        },
    ),
]
