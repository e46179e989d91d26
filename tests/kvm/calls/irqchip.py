# SPDX-License-Identifier: Apache-2.0
"""Calls on a VM's interrupt controller that need no device."""

from __future__ import annotations

from tests.kvm.calls.table import U64, Call
from tests.kvm.kinds import Anything, Int

CALLS: list[Call] = [
    Call("VM.create_irqchip", "vm"),
    Call("VM.arm_set_device_addr", "vm", {"id": (0, Int(0, U64)), "gpa": (0x8000000, Int(0, U64))}),
    Call(
        "VM.cpu_line",
        "vm",
        {
            "vcpu_id": (0, Int(0, 4095)),
            "level": (1, Int(0, 1, bools=True)),
            "fiq": (False, Anything()),
        },
    ),
    Call(
        "VM.irq_line_status",
        "wired",
        {
            "intid": (40, Int(32, 1019)),
            "level": (1, Int(0, 1, bools=True)),
            "vcpu_id": (None, Anything()),
        },
    ),
    Call(
        "VM.irq_line_status",
        "wired",
        {
            "intid": (20, Int(16, 31)),
            "level": (True, Int(0, 1, bools=True)),
            "vcpu_id": (0, Int(0, 4095, none=True)),
        },
    ),
]
