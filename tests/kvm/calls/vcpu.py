# SPDX-License-Identifier: Apache-2.0
"""Calls on a vCPU."""

from __future__ import annotations

from pykvm import VcpuFeature
from tests.kvm.calls.table import ATTRIBUTE, REG, REQUEST, U32, U64, X0, Call
from tests.kvm.kinds import Buffer, Int, Several

CALLS: list[Call] = [
    Call(
        "Vcpu.arm_vcpu_init",
        "vcpu",
        {
            "features": ([VcpuFeature.PSCI_0_2], Several(Int(0, 223))),
            "target": (5, Int(0, U32, none=True)),
        },
    ),
    Call("Vcpu.close", "vcpu", closed=None),
    Call("Vcpu.closed", "vcpu", closed=None),
    Call("Vcpu.fileno", "vcpu"),
    Call("Vcpu.get_one_reg", "vcpu", {"reg": (X0, REG)}),
    Call("Vcpu.get_reg_list", "vcpu"),
    Call("Vcpu.ioctl", "vcpu", REQUEST),
    Call("Vcpu.kick", "vcpu"),
    Call("Vcpu.kvm_run", "vcpu"),
    Call("Vcpu.mmio_reply", "loading", {"value": (5, Buffer())}),
    Call("Vcpu.run", "running"),
    Call("Vcpu.set_one_reg", "vcpu", {"reg": (X0, REG), "value": (5, Int(0, U64))}),
    Call("Vcpu.get_device_attr", "vcpu", {**ATTRIBUTE, "value": (bytes(4), Buffer())}),
    Call("Vcpu.has_device_attr", "vcpu", ATTRIBUTE),
    Call("Vcpu.set_device_attr", "vcpu", {**ATTRIBUTE, "value": (bytes(4), Buffer(none=True))}),
]
