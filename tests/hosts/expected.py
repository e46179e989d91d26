# SPDX-License-Identifier: Apache-2.0
"""The hosts, and what their reports must have because QEMU was told so.

What a CPU has is from its technical reference manual, as QEMU's model of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pykvm.probe import Fact, Report
from tests.lab import kernels
from tests.lab.shapes import ALL_SHAPES, Shape

__all__ = ["HOSTS", "Host", "contradictions"]


#: That a host has none of these needs no excuse.
_NO_REASON = ("container", "node_acl")


class _Least(int):
    """At least so many."""


#: Of each CPU: its MIDR without variant and revision, and what guests can have of it.
_CPUS: dict[str, dict[str, Any]] = {
    "neoverse-n1": {
        "part": 0x410FD0C0, "kvm_mode": "vhe", "ipa_bits": 48, "sve": False, "mte": False,
        "ptrauth": False, "aarch32_el0": True, "aarch32_el1": False, "serror_esr": True,
        "breakpoints": 6, "watchpoints": 4,
    },
    "neoverse-n2": {
        "part": 0x410FD490, "ipa_bits": 48, "sve": True, "ptrauth": True,
        "aarch32_el0": True, "aarch32_el1": False, "serror_esr": True,
        "sve_lengths": (128,), "breakpoints": 6, "watchpoints": 4,
    },
    "cortex-a57": {
        "part": 0x410FD070, "kvm_mode": "nvhe", "ipa_bits": 44, "sve": False, "mte": False,
        "ptrauth": False, "aarch32_el0": True, "aarch32_el1": True, "serror_esr": False,
        "breakpoints": 6, "watchpoints": 4,
    },
    "cortex-a72": {
        "part": 0x410FD080, "kvm_mode": "nvhe", "ipa_bits": 44, "sve": False, "mte": False,
        "ptrauth": False, "aarch32_el0": True, "aarch32_el1": True, "serror_esr": False,
        "breakpoints": 6, "watchpoints": 4,
    },
    "cortex-a53": {
        "part": 0x410FD030, "kvm_mode": "nvhe", "ipa_bits": 40, "sve": False, "mte": False,
        "ptrauth": False, "aarch32_el0": True, "aarch32_el1": True, "serror_esr": False,
        "breakpoints": 6, "watchpoints": 4,
    },
    "max": {
        "sve": True, "ptrauth": True, "aarch32_el0": True, "aarch32_el1": True,
        "serror_esr": True, "ipa_bits": _Least(48),
        # QEMU's model has every multiple of 128 bits up to 2048; KVM's guests can have them all.
        "sve_lengths": tuple(range(128, 2049, 128)),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Host:
    """An emulated host. ``without_vgic``: its device tree is made to say that it has no GICH."""

    name: str
    shape: Shape
    expected: dict[str, Any] = field(hash=False)
    without_vgic: bool = False

    def is_named(self, words: list[str]) -> bool:
        return any(word in self.name for word in words)


def _expected(shape: Shape) -> dict[str, Any]:
    """What a shape itself says."""
    cpu = dict(_CPUS[shape.cpu.split(",")[0]])
    part = cpu.pop("part", None)
    found = {
        "machine": "aarch64",
        "page_size": int(shape.page_size.rstrip("k")) << 10,
        "cpus": shape.smp,
        "host_gic": f"v{shape.gic}",
        "entered_at": "EL2",
        "kvm": True, "vm": True, "vcpu": True,
        "gicv2": shape.gic == 2, "gicv3": shape.gic == 3, "its": shape.gic == 3,
        "gicv5": False,
        "vcpus_advised": shape.smp,
        "irqfd": True, "irqfd_resample": True, "msi": shape.gic == 3,
        "pmu": True,
        "selftest_edge": True, "selftest_ioeventfd": True, "selftest_msi": shape.gic == 3,
        **cpu,
    }  # fmt: skip
    if part:
        found["midr"] = part
    if "mte=on" in shape.machine_options:
        found["mte"] = True
    nested = "kvm-arm.mode=nested" in shape.append
    found["el2"] = nested
    if nested:
        found["kvm_mode"] = "nested"
    if found["gicv2"]:
        found["gicv2_vcpus"] = 8
    else:
        found["gicv3_vcpus"] = 512
    return found


def _host(name: str, shape: Shape, **more: Any) -> Host:
    return Host(name, shape, {**_expected(shape), **more})


_WITHOUT_VGIC = {
    "gicv2": False, "gicv3": False, "its": False, "irqfd": False, "irqfd_resample": False,
    "msi": False, "selftest_edge": False, "selftest_ioeventfd": False, "selftest_msi": False,
}  # fmt: skip

HOSTS = (
    *(_host(str(shape), replace(shape, cold=True)) for shape in ALL_SHAPES),
    _host(
        "cortex-a53 GICv2 6.12 4k smp=4",
        Shape(cpu="cortex-a53", gic=2, smp=4, memory="1G", cold=True),
    ),
    _host("max,sve=off,pauth=off GICv3 6.12 4k", Shape(
        cpu="max,sve=off,pauth=off", qemu="newest", cold=True,
    ), sve=False, ptrauth=False, sve_lengths=False, mte=False),
    replace(
        _host("neoverse-n1 without a virtual GIC", Shape(cold=True), **_WITHOUT_VGIC),
        without_vgic=True,
    ),
)  # fmt: skip


def contradictions(host: Host, report: Report) -> Iterator[str]:
    """What was configured and is not in the report."""
    expected = dict(host.expected)
    if host.without_vgic:
        expected.pop("gicv3_vcpus")
        if "gic" not in {gap.name for gap in report.gaps}:
            yield "no gap says that there is no virtual GIC"
    expected["kernel"] = kernels.find(host.shape.kernel, host.shape.page_size).release
    for name, value in expected.items():
        fact = report.facts[name]
        if not _agrees(name, fact, value):
            yield f"{name} is {fact}; configured: {value!r}"
    for name, fact in report.facts.items():
        if fact.state == "failed":
            yield f"{name} failed to be asked: {fact}"
        elif fact.state == "no" and name not in _NO_REASON and not report.reason(name).why:
            yield f"{name} has no reason"


def _agrees(name: str, fact: Fact, value: Any) -> bool:
    told = fact.value
    if name == "midr":
        return isinstance(told, tuple) and {int(str(m), 16) & 0xFF0FFFF0 for m in told} == {value}
    if isinstance(value, _Least):
        return isinstance(told, int) and told >= value
    if name == "kernel":
        return str(told).startswith(value)
    if isinstance(value, bool):
        return fact.yes == value
    return bool(told == value)
