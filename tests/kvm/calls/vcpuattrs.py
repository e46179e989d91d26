# SPDX-License-Identifier: Apache-2.0
"""Calls that set up a vCPU's PMU, timers and stolen time."""

from __future__ import annotations

from pykvm import PmuEventAction
from tests.kvm.calls.table import U31, U32, U64, Call
from tests.kvm.kinds import Int

_U16 = 2**16 - 1

CALLS: list[Call] = [
    Call("Vcpu.hptimer_irq", "vcpu"),
    Call("Vcpu.hptimer_irq=", "vcpu", {"hptimer_irq": (26, Int(16, U31))}),
    Call("Vcpu.hvtimer_irq", "vcpu"),
    Call("Vcpu.hvtimer_irq=", "vcpu", {"hvtimer_irq": (28, Int(16, U31))}),
    Call(
        "Vcpu.pmu_filter",
        "vcpu",
        {
            "base_event": (0x11, Int(0, _U16)),
            "nevents": (1, Int(0, _U16)),
            "action": (PmuEventAction.DENY, Int(0, 255)),
        },
    ),
    Call("Vcpu.pmu_init", "vcpu"),
    Call("Vcpu.pmu_irq", "vcpu"),
    Call("Vcpu.pmu_irq=", "vcpu", {"pmu_irq": (23, Int(16, U31))}),
    Call("Vcpu.ptimer_irq", "vcpu"),
    Call("Vcpu.ptimer_irq=", "vcpu", {"ptimer_irq": (30, Int(16, U31))}),
    Call("Vcpu.pvtime_ipa", "vcpu"),
    Call("Vcpu.pvtime_ipa=", "vcpu", {"pvtime_ipa": (0x4000_0000, Int(0, U64))}),
    Call("Vcpu.set_pmu", "vcpu", {"type": (10, Int(0, U31))}),
    Call("Vcpu.set_pmu_nr_counters", "vcpu", {"count": (1, Int(0, U32))}),
    Call("Vcpu.vtimer_irq", "vcpu"),
    Call("Vcpu.vtimer_irq=", "vcpu", {"vtimer_irq": (27, Int(16, U31))}),
]
