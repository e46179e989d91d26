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

#: Facts of the host that a guest can see, or feel. The others are the administrator's.
_OF_THE_HOST = ("machine", "page_size", "midr")
#: What no guest sees: how often, how many at most, what the program on the host can ask for.
_UNSEEN = (
    "api_version", "vcpu_mmap_size", "vcpus_advised", "statistics_vm", "statistics_vcpu",
)  # fmt: skip
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


def differences(one: Report, other: Report) -> tuple[Difference, ...]:
    """All that differs of what guests see or rely on, in the order of reports."""
    return (*_of_facts(one, other), *_of_capabilities(one, other), *_of_registers(one, other))


def _of_facts(one: Report, other: Report) -> Iterator[Difference]:
    for name, about in ABOUT.items():
        if name in _UNSEEN or about.group == "selftest":
            continue
        if about.group == "host" and name not in _OF_THE_HOST:
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
        if values[0] != values[1] and cap.name != "KVM_CAP_NR_VCPUS":
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
