# SPDX-License-Identifier: Apache-2.0
"""What a guest would notice if it were moved from one host to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pykvm.probe.about import ABOUT
from pykvm.probe.facts import Fact
from pykvm.probe.report import Field, Report
from pykvm.probe.words import shown

__all__ = ["Difference", "differences"]

#: Facts that a guest sees, or relies on once its machine was made with them. The others are for
#: the program on the host; what the CPU is, its registers tell.
_SEEN = (
    "machine", "vcpus", "gicv2", "gicv3", "gicv5", "its", "gicv2_vcpus", "gicv3_vcpus", "spis",
    "irqfd", "irqfd_resample", "msi", "ioeventfd", "vfio", "psci_versions", "aarch32_el0",
    "aarch32_el1", "pmu", "pmu_counters", "pmu_events", "sve", "sve_lengths", "ptrauth", "mte",
    "steal_time", "ptp", "system_suspend", "hypercall_bitmaps", "ipa_bits", "counter_offset",
    "registers", "el2", "el2_e2h0", "el2_timers",
)  # fmt: skip
#: What is another one at each look.
_FLEETING = ("cpus", "vcpus_advised", "KVM_CAP_NR_VCPUS")
#: They identify a CPU, and change with the host as such.
_IDENTITY = ("midr_el1", "revidr_el1", "aidr_el1")


@dataclass(frozen=True)
class Difference:
    """``what`` is ``here`` in the first report and ``there`` in the second.

    ``hidden``: the kernel of the second host lets it be made what it was, before the guest starts.
    """

    what: str
    here: str
    there: str
    hidden: bool = False


def differences(one: Report, other: Report, *, everything: bool = False) -> tuple[Difference, ...]:
    """All that differs of what guests see or rely on, in the order of reports.

    ``everything``: also what only programs on the hosts see, capabilities among it.
    """
    facts, registers = _of_facts(one, other, everything), _of_registers(one, other)
    return (*facts, *(_of_capabilities(one, other) if everything else ()), *registers)


def _of_facts(one: Report, other: Report, everything: bool) -> Iterator[Difference]:
    for name, about in ABOUT.items():
        wanted = name in _SEEN or everything
        if not wanted or name in _FLEETING or about.group == "selftest":
            continue
        if about.of and not (one.facts[about.of].yes and other.facts[about.of].yes):
            continue
        here, there = one.facts[name], other.facts[name]
        if (here.state, _kinds(here)) != (there.state, _kinds(there)):
            yield Difference(name, shown(name, here, whole=True), shown(name, there, whole=True))


def _kinds(fact: Fact) -> object:
    """Of several equal things, such as CPUs, it does not matter how many there are."""
    return set(fact.value) if isinstance(fact.value, tuple) else fact.value


def _of_capabilities(one: Report, other: Report) -> Iterator[Difference]:
    mine, yours = ({cap.number: cap for cap in report.capabilities} for report in (one, other))
    for number in sorted(mine.keys() | yours.keys()):
        answers = [caps[number].vm if number in caps else None for caps in (mine, yours)]
        values = [fact.value if fact else None for fact in answers]
        cap = mine.get(number) or yours[number]
        if values[0] != values[1] and cap.name not in _FLEETING:
            name = cap.name or f"capability {number}"
            yield Difference(name, str(values[0] or 0), str(values[1] or 0))


def _of(field: Field) -> str:
    return f"{field.value} {field.meaning}".strip()


def _of_registers(one: Report, other: Report) -> Iterator[Difference]:
    mine, yours = ({reg.name: reg for reg in report.registers} for report in (one, other))
    for name in dict.fromkeys((*mine, *yours)):
        first, second = mine.get(name), yours.get(name)
        if first is None or second is None:
            values = [hex(reg.value) if reg else "not there" for reg in (first, second)]
            if values != ["0x0", "not there"] and values != ["not there", "0x0"]:
                yield Difference(name, values[0], values[1])
            continue
        if first.value == second.value:
            continue
        changed = first.value ^ second.value
        named = 0
        for before, after in zip(first.fields, second.fields, strict=False):
            if before.name != after.name:
                break
            mask = (1 << after.width) - 1 << after.lsb
            named |= mask
            if before.value != after.value and name not in _IDENTITY:
                hidden = before.value < after.value and after.writable == mask
                yield Difference(f"{name}.{after.name}", _of(before), _of(after), hidden)
        if changed & ~named or name in _IDENTITY:
            yield Difference(name, hex(first.value), hex(second.value))
