# SPDX-License-Identifier: Apache-2.0
"""Calls on a vCPU's state, and those that debug its guest."""

from __future__ import annotations

from pykvm import Breakpoint, DebugRegisters, GuestDebugControl, MpState, VcpuEvents, Watchpoint
from tests.kvm.calls.table import U32, Call
from tests.kvm.kinds import Int, Other, Several, Wrong

_EVENTS = Other(
    *(Wrong(value, TypeError, "events") for value in (None, 5, (), (False, None, True), object())),
    *(
        Wrong(VcpuEvents(True, esr), ValueError, "serror_esr is")
        for esr in (-1, 2**25, 2**64, 2**70)
    ),
    *(
        Wrong(VcpuEvents(True, esr), TypeError, "serror_esr must")  # type: ignore[arg-type]
        for esr in ("5", 5.0, True, [5])
    ),
)
_NO_POINTS = (None, 5, object(), [5], [None], [(1, 2)], "ab", [b""])
_BREAKPOINTS = Other(
    *(Wrong(value, TypeError, "breakpoints must be") for value in (*_NO_POINTS, [Watchpoint(0)])),
    *(Wrong([Breakpoint(a)], ValueError, "address is") for a in (-4, 2, 2**64, 2**70)),
    *(Wrong([Breakpoint(a)], TypeError, "address must") for a in (None, "4", 4.0)),  # type: ignore[arg-type]
    Wrong([DebugRegisters(-1, 0)], ValueError, "control"),
    Wrong([DebugRegisters(0, 2**64)], ValueError, "value"),
    Wrong([Breakpoint(4)] * 17, ValueError, "17 breakpoints"),
)
_WATCHPOINTS = Other(
    *(Wrong(value, TypeError, "watchpoints must be") for value in (*_NO_POINTS, [Breakpoint(0)])),
    *(Wrong([Watchpoint(a)], ValueError, "address is") for a in (-8, 2**64, 2**70)),
    *(Wrong([Watchpoint(0, n)], ValueError, "size is") for n in (-1, 0, 2**31 + 1, 2**70)),
    *(
        Wrong([Watchpoint(a, n)], ValueError, "one watchpoint")
        for a, n in ((7, 2), (8, 16), (0, 24))
    ),
    Wrong([Watchpoint(0, 8, False, False)], ValueError, "read or write"),
    Wrong([Watchpoint(8)] * 17, ValueError, "17 watchpoints"),
)

CALLS: list[Call] = [
    Call("Vcpu.device_irq_level", "vcpu"),
    Call("Vcpu.get_mp_state", "vcpu"),
    Call("Vcpu.get_vcpu_events", "vcpu"),
    Call(
        "Vcpu.set_guest_debug",
        "vcpu",
        {
            "control": (GuestDebugControl.SINGLESTEP, Int(0, U32)),
            "breakpoints": ([], _BREAKPOINTS),
            "watchpoints": ([], _WATCHPOINTS),
        },
    ),
    Call("Vcpu.set_mp_state", "vcpu", {"state": (MpState.RUNNABLE, Int(0, U32))}),
    Call("Vcpu.set_signal_mask", "vcpu", {"signals": ([10], Several(Int(1, 64), none=True))}),
    Call("Vcpu.set_vcpu_events", "vcpu", {"events": (VcpuEvents(), _EVENTS)}),
]
