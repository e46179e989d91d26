# SPDX-License-Identifier: Apache-2.0
"""Calls on registers, and on what they can hold."""

from __future__ import annotations

from pykvm import VcpuFeature
from tests.kvm.calls.table import U31, U64, X0, Call
from tests.kvm.kinds import Int, Several

CALLS: list[Call] = [
    Call("VM.arm_get_reg_writable_masks", "vm"),
    Call("Vcpu.arm_vcpu_finalize", "vcpu", {"feature": (VcpuFeature.SVE, Int(0, U31))}),
    Call("Vcpu.sve_lengths_bits", "vcpu"),
    Call(
        "Vcpu.sve_lengths_bits=",
        "vcpu",
        {"sve_lengths_bits": ([128], Several(Int(128, 65536)))},
    ),
    Call("reg_family", "", {"reg": (X0, Int(0, U64))}),
]
