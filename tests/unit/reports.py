# SPDX-License-Identifier: Apache-2.0
"""Reports for tests that need no host: what a good one tells, in short, and changes to it."""

from __future__ import annotations

import dataclasses
from typing import Any

from pykvm.probe import ABOUT, Capability, Check, Fact, Report, Trial, collect
from pykvm.probe.idregs import decode
from pykvm.registers import reg_id

NO = Fact.no("asked", 22)
FAILED = Fact.failed("KVM_IRQFD", 1)


def yes(value: Any = True) -> Fact:
    return Fact.of(value, "asked")


def capability(number: int, system: Fact, vm: Fact, name: str | None = None) -> Capability:
    return Capability(number, name or f"KVM_CAP_N{number}", system, vm, "It is so.", "4.1")


def good_report(**facts: Fact) -> Report:
    """All facts are True, but those of the host and those given."""
    without = collect("/dev/no-such-kvm")
    host = {name: without.facts[name] for name, about in ABOUT.items() if about.group == "host"}
    host |= {
        "machine": yes("aarch64"), "kernel": yes("6.12.1"), "host_gic": yes("v3"),
        "page_size": yes(16384), "node_owner": yes("root"), "node_group": yes("kvm"),
        "node_mode": yes("0660"), "node_acl": NO,
    }  # fmt: skip
    return dataclasses.replace(
        without,
        facts={**dict.fromkeys(ABOUT, yes()), **host, "ipa_bits": yes(48), **facts},
        capabilities=(
            capability(32, yes(1), yes(1)),
            capability(66, yes(512), yes(8)),
            capability(131, Fact.failed("asked", 22), yes(1)),
            capability(229, yes(1 << 20), yes(1 << 20)),
            capability(170, NO, NO),
        ),
        vcpu_features=(
            Trial(("POWER_OFF",), yes()), Trial(("SVE",), NO), Trial(("POWER_OFF", "SVE"), NO),
        ),
        registers=(
            decode(reg_id("id_aa64pfr0_el1"), 0x1_0000_0012, 0xF_0000_0000),
            decode(reg_id("id_aa64isar0_el1"), 0x20_0000, None),
        ),
        gaps=(),
    )  # fmt: skip


def check(name: str, **changed: Any) -> Check:
    """A part of the selftest that passed, but for what is changed."""
    passed = Check(name, "passed", None, "", "v3", 9, 9, None, None, 200, 900)
    return dataclasses.replace(passed, **changed)
