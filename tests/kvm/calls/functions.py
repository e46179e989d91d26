# SPDX-License-Identifier: Apache-2.0
"""Functions of the package."""

from __future__ import annotations

from tests.kvm.calls.table import REG, U64, X0, Call
from tests.kvm.kinds import Int

CALLS: list[Call] = [
    Call("reg_id", "", {"reg": ("pc", REG)}),
    Call("reg_name", "", {"reg": (X0, Int(0, U64))}),
    Call("reg_size", "", {"reg": (X0, Int(0, U64))}),
    Call("set_kick_signal", "", {"signum": (None, Int(1, 64))}),
    Call(
        "sysreg",
        "",
        {
            "op0": (3, Int(0, 3)),
            "op1": (0, Int(0, 7)),
            "crn": (0, Int(0, 15)),
            "crm": (0, Int(0, 15)),
            "op2": (5, Int(0, 7)),
        },
    ),
]
