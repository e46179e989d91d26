# SPDX-License-Identifier: Apache-2.0
"""What VMs also need of a host, and what its kernel tells of it to everybody."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

from pykvm.probe import host
from pykvm.probe.facts import Fact

__all__ = ["surroundings"]

_CPUS = Path("/sys/devices/system/cpu")
_NODES = Path("/sys/devices/system/node")
_VULNERABILITIES = _CPUS / "vulnerabilities"
_IOMMU_GROUPS = Path("/sys/kernel/iommu_groups")
_CGROUPS = "/sys/fs/cgroup/cgroup.controllers"
_DEVICES = {"tun": "/dev/net/tun", "vhost_net": "/dev/vhost-net", "vhost_vsock": "/dev/vhost-vsock"}


def surroundings() -> dict[str, Fact]:
    """Topology, vulnerabilities, and the kernel's helpers for devices of VMs."""
    bogomips = re.search(r"^bogomips\s*: (.*)$", host.text("/proc/cpuinfo"), re.M | re.I)
    return {
        "byte_order": Fact.of(sys.byteorder, "the interpreter"),
        "bogomips": Fact.of(bogomips and bogomips[1], "/proc/cpuinfo"),
        "cpu_topology": Fact.of(_topology(), f"{_CPUS}/cpu*/topology"),
        "numa_nodes": Fact.of(len(_folders(_NODES, "node[0-9]*")), str(_NODES)),
        "vulnerabilities": Fact.of(_vulnerabilities(), str(_VULNERABILITIES)),
        **{name: _device(path) for name, path in _DEVICES.items()},
        "cgroup_controllers": Fact.of(_controllers(), f"{_CGROUPS}, /proc/cgroups"),
        "iommu_groups": Fact.of(len(_folders(_IOMMU_GROUPS, "*")), str(_IOMMU_GROUPS)),
    }


def _folders(place: Path, pattern: str) -> list[Path]:
    try:
        return list(place.glob(pattern))
    except OSError:
        return []


def _topology() -> dict[str, str]:
    """How many sockets, cores in them, and threads of each core there are."""
    places = [place / "topology" for place in _folders(_CPUS, "cpu[0-9]*")]
    found = [
        (host.text(str(place / "physical_package_id")).strip(),
         host.text(str(place / "core_id")).strip())
        for place in places
    ]  # fmt: skip
    found = [ids for ids in found if all(ids)]
    if not found:
        return {}
    sockets, cores = {ids[0] for ids in found}, set(found)
    return {
        "sockets": str(len(sockets)),
        "cores": str(len(cores) // len(sockets)),
        "threads": str(len(found) // len(cores)),
    }


def _vulnerabilities() -> dict[str, str]:
    return {place.name: host.text(str(place)).strip() for place in _folders(_VULNERABILITIES, "*")}


def _device(path: str) -> Fact:
    """Whether this user may use a device; it is not opened, which could load a driver."""
    source = f"access {path}"
    if os.access(path, os.R_OK | os.W_OK):
        return Fact.of(True, source)
    return Fact.no(source, errno.EACCES if Path(path).exists() else errno.ENOENT)


def _controllers() -> tuple[str, ...]:
    if words := host.text(_CGROUPS).split():
        return tuple(words)
    lines = (line.split() for line in host.text("/proc/cgroups").splitlines())
    return tuple(words[0] for words in lines if len(words) == 4 and words[3] == "1")
