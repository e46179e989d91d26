# SPDX-License-Identifier: Apache-2.0
"""The host as an ordinary user sees it, without KVM."""

from __future__ import annotations

import errno
import grp
import mmap
import os
import platform
import pwd
import stat
import struct
import sys
from pathlib import Path

from pykvm.probe import host
from pykvm.probe.facts import Fact
from pykvm.probe.surroundings import surroundings

__all__ = ["host_facts"]

_CPUS = Path("/sys/devices/system/cpu")
_PARAMETERS = Path("/sys/module/kvm/parameters")
_ACL = "system.posix_acl_access"
#: By the kernel's tag of an entry: for whom it is.
_ACL_TAGS = {0x02: "user", 0x08: "group"}
_IMPLEMENTERS = {
    0x41: "Arm", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon",
    0x4E: "NVIDIA", 0x50: "APM", 0x51: "Qualcomm", 0x53: "Samsung", 0x61: "Apple",
    0x6D: "Microsoft", 0x70: "Phytium", 0xC0: "Ampere",
}  # fmt: skip
_ARM_PARTS = {
    0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57",
    0xD08: "Cortex-A72", 0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76",
    0xD0C: "Neoverse N1", 0xD0D: "Cortex-A77", 0xD40: "Neoverse V1", 0xD41: "Cortex-A78",
    0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD48: "Cortex-X2",
    0xD49: "Neoverse N2", 0xD4A: "Neoverse E1", 0xD4B: "Cortex-A78C", 0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3", 0xD4F: "Neoverse V2", 0xD80: "Cortex-A520", 0xD81: "Cortex-A720",
    0xD82: "Cortex-X4", 0xD83: "Neoverse V3", 0xD84: "Neoverse V3AE", 0xD85: "Cortex-X925",
    0xD87: "Cortex-A725", 0xD8E: "Neoverse N3",
}  # fmt: skip


def host_facts(path: str) -> dict[str, Fact]:
    """Every fact of the group "host"."""
    midrs = _midrs()
    midr_source = f"{_CPUS}/cpu*/regs/identification/midr_el1"
    models = dict.fromkeys(cpu_model(int(midr, 16)) for midr in midrs)
    return {
        "machine": Fact.of(platform.machine(), "uname"),
        "system": Fact.of(platform.system(), "uname"),
        "kernel": Fact.of(platform.release(), "uname"),
        "page_size": Fact.of(mmap.PAGESIZE, "sysconf(_SC_PAGESIZE)"),
        "cpus": Fact.of(os.cpu_count(), "sysconf(_SC_NPROCESSORS_ONLN)"),
        "cpu_models": Fact.of(tuple(models), midr_source),
        "midr": Fact.of(midrs, midr_source),
        "cpu_features": Fact.of(host.cpu_features(), "/proc/cpuinfo"),
        "host_gic": Fact.of(host.host_gic(), "/proc/interrupts"),
        "entered_at": Fact.of(host.started_at(), "/proc/interrupts, /dev/kmsg"),
        "kvm_mode": Fact.of(host.kvm_mode(), "/proc/interrupts, /dev/kmsg, /proc/cmdline"),
        "container": Fact.of(host.container(), "/run, /.dockerenv, $container"),
        "module_parameters": Fact.of(_parameters(), str(_PARAMETERS)),
        **_node(path),
        **surroundings(),
    }


def cpu_model(midr: int) -> str:
    """A CPU's name from its MIDR_EL1, as far as it is known here."""
    implementer, part = midr >> 24 & 0xFF, midr >> 4 & 0xFFF
    maker = _IMPLEMENTERS.get(implementer, f"implementer {implementer:#x}")
    name = _ARM_PARTS.get(part) if implementer == 0x41 else None
    return f"{maker} {name or f'part {part:#05x}'} r{midr >> 20 & 15}p{midr & 15}"


def _midrs() -> tuple[str, ...]:
    found = []
    for cpu in sorted(_CPUS.glob("cpu[0-9]*"), key=lambda place: int(place.name[3:])):
        text = host.text(str(cpu / "regs/identification/midr_el1")).strip()
        found += [f"{int(text, 16):#010x}"] if text else []
    return tuple(found)


def _parameters() -> dict[str, str]:
    try:
        names = sorted(place.name for place in _PARAMETERS.iterdir())
    except OSError:
        return {}
    return {name: host.text(str(_PARAMETERS / name)).strip() for name in names}


def _node(path: str) -> dict[str, Fact]:
    source = f"stat {path}"
    names = ("node_owner", "node_group", "node_mode")
    try:
        node = Path(path).stat()
    except (OSError, ValueError) as missing:
        number = missing.errno if isinstance(missing, OSError) else errno.EINVAL
        failed = Fact.failed(source, number)
        return {"node": Fact.of(path, "--device"), **dict.fromkeys((*names, "node_acl"), failed)}
    try:
        owner = pwd.getpwuid(node.st_uid).pw_name
    except KeyError:
        owner = str(node.st_uid)
    try:
        group = grp.getgrgid(node.st_gid).gr_name
    except KeyError:
        group = str(node.st_gid)
    values = (owner, group, f"{stat.S_IMODE(node.st_mode):04o}")
    return {
        "node": Fact.of(path, "--device"),
        **{name: Fact.of(value, source) for name, value in zip(names, values, strict=True)},
        "node_acl": _acl(path),
    }


def _acl(path: str) -> Fact:
    source = f"getxattr {path} {_ACL}"
    if sys.platform != "linux":
        return Fact.no(source)
    try:
        data = os.getxattr(path, _ACL)
    except OSError as refusal:
        if refusal.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return Fact.no(source, refusal.errno)
        return Fact.failed(source, refusal.errno)
    return Fact.of(acl_entries(data), source)


def acl_entries(data: bytes) -> tuple[str, ...]:
    """The named users and groups of an ACL in the kernel's form: ``user:1000:rw-``."""
    entries = struct.iter_unpack("<HHI", data[4 : 4 + (len(data) - 4) // 8 * 8])
    return tuple(
        f"{_ACL_TAGS[tag]}:{number}:"
        + "".join(c if rights & bit else "-" for c, bit in zip("rwx", (4, 2, 1), strict=True))
        for tag, rights, number in entries
        if tag in _ACL_TAGS
    )
