# SPDX-License-Identifier: Apache-2.0
"""Facts in words: values as people write them, and the verdict on a host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pykvm.probe.about import ABOUT
from pykvm.probe.facts import Fact, Value
from pykvm.probe.report import Report

__all__ = ["host_lines", "shown", "verdict"]

#: What a VMM cares for most: what it is called in a sentence.
_STRENGTHS = {
    "gicv3": "GICv3",
    "gicv2": "GICv2",
    "its": "ITS",
    "irqfd_resample": "irqfd with resamplefd",
    "sve": "SVE",
    "ptrauth": "pointer authentication",
    "mte": "memory tags",
    "pmu": "PMU",
    "aarch32_el1": "AArch32 kernels",
    "el2": "guests that are hypervisors",
}


def _bytes(number: Any) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024 or number % 1024:
            return f"{number} {unit}"
        number //= 1024
    return f"{number} GiB"


def _ranges(numbers: Iterable[int]) -> str:
    """``32-40, 48``: numbers that follow each other are one."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs)


def _count(things: Any) -> str:
    return str(len(things))


#: Common events of a PMU, by their numbers in the Arm ARM.
_EVENTS = {
    0x00: "SW_INCR", 0x01: "L1I_CACHE_REFILL", 0x03: "L1D_CACHE_REFILL", 0x04: "L1D_CACHE",
    0x08: "INST_RETIRED", 0x09: "EXC_TAKEN", 0x10: "BR_MIS_PRED", 0x11: "CPU_CYCLES",
    0x12: "BR_PRED", 0x13: "MEM_ACCESS", 0x14: "L1I_CACHE", 0x16: "L2D_CACHE",
    0x17: "L2D_CACHE_REFILL", 0x1B: "INST_SPEC", 0x1D: "BUS_CYCLES", 0x1E: "CHAIN",
    0x21: "BR_RETIRED", 0x22: "BR_MIS_PRED_RETIRED", 0x23: "STALL_FRONTEND",
    0x24: "STALL_BACKEND", 0x3C: "STALL",
}  # fmt: skip


def _events(numbers: Iterable[int]) -> str:
    return ", ".join(f"{n:#x} {_EVENTS.get(n, '')}".strip() for n in numbers)


#: As long as a list may be to be shown where there is little room.
_SHORT = 13
_FORMS: dict[str, Callable[[Any], str]] = {
    "page_size": _bytes,
    "vcpu_mmap_size": _bytes,
    "dirty_ring": _bytes,
    "block_sizes": lambda sizes: ", ".join(map(_bytes, sizes)),
    "ipa_bits": lambda bits: f"{bits} bits",
    "ipa_sizes": _ranges,
    "psci_versions": lambda versions: f"{versions[0]} to {versions[-1]}",
    "midr": lambda midrs: ", ".join(dict.fromkeys(midrs)),
}
#: Where the whole value is asked for; else it is counted.
_LONG_FORMS: dict[str, Callable[[Any], str]] = {"pmu_events": _events}


def shown(name: str, fact: Fact, *, whole: bool = False) -> str:
    """A fact's value in a few words, or all of it."""
    if fact.state == "failed":
        return f"failed: {fact.errno}"
    value = fact.value
    if fact.state == "no":
        return "no"
    form = _FORMS.get(name) or (_LONG_FORMS.get(name) if whole else None)
    try:
        return form(value) if form else _plain(value, whole)
    except (TypeError, ValueError, LookupError):  # a report from elsewhere has what it likes
        return _plain(value, whole)


def _plain(value: Value, whole: bool) -> str:
    if value is True:
        return "yes"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items()) if whole else _count(value)
    if isinstance(value, tuple):
        listed = ", ".join(map(str, value))
        return listed if whole or len(listed) <= _SHORT else _count(value)
    return str(value)


def host_lines(report: Report) -> tuple[str, str]:
    """The machine, and the node, in a line each."""
    facts = report.facts

    def words(form: str, name: str) -> str:
        return form.format(shown(name, facts[name], whole=True)) if facts[name].yes else ""

    cpus = words("{} CPUs", "cpus") + words(" ({})", "cpu_models")
    host = (
        words("{}", "machine"), words("{} ", "system") + words("{}", "kernel"), cpus,
        words("pages of {}", "page_size"), words("GIC{}", "host_gic"),
        words("KVM in mode {}", "kvm_mode"),
        words("entered at {}", "entered_at"), words("in a container ({})", "container"),
    )  # fmt: skip
    owner = words("{}", "node_owner") + words(":{}", "node_group")
    node = (words("{}", "node"), owner, words("mode {}", "node_mode"), words("{}", "node_acl"))
    return ", ".join(filter(None, host)), " ".join(filter(None, node))


def verdict(report: Report) -> tuple[bool, str]:
    """Whether the host is good for VMs, and a sentence or two that say so."""
    facts = report.facts
    if not facts["kvm"].yes or facts["vm"].state == "failed":
        gap = report.gaps[-1] if report.gaps else None
        return False, f"No VMs here. {gap.what if gap else ''}".rstrip()
    if facts["machine"].value != "aarch64":
        here = f"This machine is {facts['machine'].value}"
        return False, next((gap.what for gap in report.gaps if gap.name == "arm64"), f"{here}.")
    having = [words for name, words in _STRENGTHS.items() if facts[name].yes]
    lacking = [words for name, words in _STRENGTHS.items() if facts[name].state == "no"]
    failing = [
        name
        for name, fact in facts.items()
        if fact.state == "failed" and name in ABOUT and ABOUT[name].group != "host"
    ]
    runs = "VMs run here" if facts["vcpu"].yes else "VMs can be made here, but no vCPUs"
    sentences = [f"{runs}: {', '.join(having)}." if having else f"{runs}."]
    if lacking:
        sentences.append(f"Without {', '.join(lacking)}.")
    if failing:
        sentences.append(f"Not to be asked: {', '.join(failing)}.")
    failed = [check for check in report.selftest or () if check.result == "failed"]
    sentences += [f"Selftest {check.name} FAILED: {check.failure}." for check in failed]
    good = not failed and not failing and "gic" not in {gap.name for gap in report.gaps}
    return good, " ".join(sentences)
