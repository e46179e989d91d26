# SPDX-License-Identifier: Apache-2.0
"""Every line that another tool says, with the fact by which `pykvm probe` answers the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pykvm.probe import Report
from pykvm.probe.words import shown

__all__ = ["Line", "compared", "contradiction"]

#: Of lscpu, virt-host-validate and QEMU: what a line is about, and the facts that say it.
_LSCPU = {
    "Architecture": "machine", "CPU op-mode(s)": "aarch32_el0", "Byte Order": "byte_order",
    "CPU(s)": "cpus", "On-line CPU(s) list": "cpus", "Vendor ID": "cpu_models",
    "Model name": "cpu_models", "Model": "cpu_models", "Stepping": "cpu_models",
    "BIOS Vendor ID": "", "BIOS Model name": "", "BIOS CPU family": "",
    "Thread(s) per core": "cpu_topology", "Core(s) per socket": "cpu_topology",
    "Core(s) per cluster": "cpu_topology", "Socket(s)": "cpu_topology",
    "Cluster(s)": "cpu_topology", "BogoMIPS": "bogomips", "Flags": "cpu_features",
    "NUMA": "numa_nodes", "NUMA node(s)": "numa_nodes", "NUMA node0 CPU(s)": "numa_nodes",
    "Vulnerabilities": "vulnerabilities",
}  # fmt: skip
_VALIDATE = {
    "if device '/dev/kvm' exists": "node_mode", "if device '/dev/kvm' is accessible": "kvm",
    "if device '/dev/vhost-net' exists": "vhost_net", "if device '/dev/net/tun' exists": "tun",
    "for device assignment IOMMU support": "iommu_groups",
    "for secure guest support": "kvm_mode",
}  # fmt: skip
_CPU_PROPERTIES = {
    "pmu": "pmu", "sve": "sve", "aarch64": "vcpu", "kvm-steal-time": "steal_time",
    "pauth": "ptrauth", "kvm-no-adjvtime": "counter_offset", "kvm-psci-version": "psci_versions",
}  # fmt: skip
_VALIDATED = re.compile(r"^\s*QEMU: Checking (.*?)\s*: (PASS|WARN|FAIL)(?: \((.*)\))?$", re.M)


_SVE_LENGTH = re.compile(r"sve(\d+)")


@dataclass(frozen=True)
class Line:
    """What a tool said about something, and what is said here."""

    tool: str
    about: str
    theirs: str
    names: tuple[str, ...]
    ours: str


def compared(told: dict[str, Any], report: Report) -> Iterator[Line]:
    """Of each tool, line by line. KeyError: a line that nobody here answers."""
    for tool, about, theirs, names in _lines(told):
        ours = ", ".join(shown(name, report.facts[name], whole=True) for name in names)
        yield Line(tool, about, theirs, names, ours)


def contradiction(line: Line, report: Report) -> bool:
    """Whether the tool and the report cannot both be right, where both say it in kind."""
    fact = report.facts[line.names[0]]
    match line.tool, line.about:
        case "lscpu", "CPU(s)" | "BogoMIPS":
            return line.theirs != str(fact.value)
        case "lscpu", "Flags":
            return tuple(line.theirs.split()) != fact.value
        case "query-gic-capabilities", _:
            return (line.theirs == "kernel") != fact.yes
        case "query-cpu-model-expansion", "pmu" | "sve" | "pauth" | "kvm-steal-time":
            return (line.theirs == "true") != fact.yes
        case "query-cpu-model-expansion", about if found := _SVE_LENGTH.fullmatch(about):
            lengths = fact.value if isinstance(fact.value, tuple) else ()
            return (line.theirs == "true") != (int(found[1]) in lengths)
        case _:
            return False


_Lines = Iterator[tuple[str, str, str, tuple[str, ...]]]


def _lines(told: dict[str, Any]) -> _Lines:
    yield "kvm-ok", "the node", _ok(told["kvm-ok"]), ("kvm", "vm")
    for entry in _flat(told["lscpu"]["lscpu"]):
        about = entry["field"].rstrip(":")
        name = "vulnerabilities" if about.startswith("Vulnerability ") else _LSCPU[about]
        if name and entry["data"]:
            yield "lscpu", about, entry["data"], (name,)
    for about, result, detail in _VALIDATED.findall(told["virt-host-validate"]):
        name = "cgroup_controllers" if about.startswith("for cgroup ") else _VALIDATE[about]
        yield "virt-host-validate", about, f"{result} {detail}".strip(), (name,)
    for gic in told["gic"]:
        version = gic["version"]
        theirs = "kernel" if gic["kernel"] else "emulated only"
        yield "query-gic-capabilities", f"GICv{version}", theirs, (f"gicv{version}",)
    for about, value in sorted(told["cpu"]["model"]["props"].items()):
        name = "sve_lengths" if _SVE_LENGTH.fullmatch(about) else _CPU_PROPERTIES[about]
        yield "query-cpu-model-expansion", about, str(value).lower(), (name,)


def _ok(text: str) -> str:
    """Its last words."""
    return text.strip().splitlines()[-1] if text.strip() else "nothing"


def _flat(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        yield from _flat(entry.get("children", []))
