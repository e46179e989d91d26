# SPDX-License-Identifier: Apache-2.0
"""What this host lacks, why, and what to do about it.

A remedy may be empty: there is none.
"""

from __future__ import annotations

import errno
import grp
import os
import platform
import pwd
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from pykvm.errors import KvmError
from pykvm.hints import hint_for
from pykvm.probe import host
from pykvm.probe.facts import Fact
from pykvm.probe.report import Gap

#: Answers of a sandbox or a security module; KVM has others.
CONFINED = (errno.EPERM, errno.EACCES, errno.ENOSYS)

__all__ = ["refused", "unopened", "whole_gaps"]

_NODE = "/dev/kvm"
_NAME_IT = f"Name KVM's node: {_NODE}, if nothing is special here."
#: What mknod has to be told.
_NUMBERS = "c 10 232"
_NEEDS_ARM64 = "An arm64 host. The project's test lab (tests/lab in its sources) emulates one."


def unopened(path: str, failure: Exception) -> list[Gap]:
    """Why :class:`~pykvm.Kvm` could not open ``path``; ``failure`` is what it raised."""
    if sys.platform != "linux":
        return [
            Gap(
                "linux",
                f"This is {platform.system()}: there is no KVM here.",
                "KVM is a part of the Linux kernel.",
                "Run pykvm on Linux on an arm64 machine. Here it serves for typing and writing.",
            )
        ]
    found = [_architecture()] if platform.machine() != "aarch64" else []
    if isinstance(failure, ImportError):
        what = "pykvm's compiled module did not load."
        remedy = "Install a wheel, or build it with a C compiler: pip install ."
        found.append(Gap("compiled-module", what, str(failure), remedy))
        try:  # the rest can be told without it
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            return found
        except OSError as refusal:
            failure = refusal
    return [*found, _node(path, failure)]


def whole_gaps(facts: Mapping[str, Fact]) -> list[Gap]:
    """What VMs of a host with KVM lack altogether; single things are facts, and have reasons."""
    if platform.machine() != "aarch64":
        return [_architecture()]
    if facts["gicv2"].state == facts["gicv3"].state == "no":
        gic = f" The host's own is a GIC{gic}." if (gic := host.host_gic()) else ""
        why = f"The host's GIC has no virtualisation that KVM can use.{gic}"
        remedy = "None in software: interrupts can come only from a GIC emulated outside KVM."
        return [Gap("gic", "VMs have no GIC in the kernel, so no irqfds.", why, remedy)]
    return []


def refused(refusal: OSError) -> Gap:
    """KVM opens, but refuses a call that every host should take."""
    if not isinstance(refusal, KvmError):
        return Gap("refused", f"KVM cannot be used as it should: {refusal}.", "", "")
    what = f"{refusal.ioctl} fails: {refusal.strerror}."
    why = refusal.hint
    remedy = "The kernel's log may tell: sudo dmesg | tail"
    if refusal.errno in CONFINED:
        why = "KVM itself does not refuse it so: a sandbox (seccomp) or a security module does."
        remedy = "Allow this process the ioctls of /dev/kvm."
    return Gap("refused", what, why, remedy)


def _architecture() -> Gap:
    machine = platform.machine()
    return Gap(
        "arm64",
        f"This machine is {machine}: only pykvm's neutral half works.",
        "Capabilities, VMs, memory, eventfds, run and kick mean the same everywhere. GICs, vCPU "
        "features and registers are arm64's; their calls say so, and send nothing.",
        _NEEDS_ARM64,
    )


def _node(path: str, failure: Exception) -> Gap:
    """Why the node cannot be opened."""
    number = failure.errno if isinstance(failure, OSError) else None
    if isinstance(failure, KvmError) and failure.ioctl != "open" and number in CONFINED:
        return refused(failure)
    hint = failure.hint if isinstance(failure, KvmError) else hint_for("open", number or 0)
    if number in (errno.ENODEV, errno.ENXIO):
        what = f"{path} is there, but no KVM behind it."
        if host.has_driver():
            remedy = f"sudo rm {path} && sudo mknod {path} {_NUMBERS}"
            return Gap("node", what, "This kernel has KVM; the node's number is wrong.", remedy)
        return _no_driver(what)
    if number == errno.ENOENT:
        what = f"There is no {path}."
        if Path(_NODE).exists():
            return Gap("node", what, f"KVM's node is {_NODE}, and that is there.", _NAME_IT)
        match host.has_driver():
            case True:
                return _not_passed_in(path)
            case False:
                return _no_driver(what)
            case None:
                return Gap("node", what, hint, f"In a container: start it with --device {path}.")
    if number == errno.EACCES:
        return _no_permission(path, hint)
    if number == errno.EPERM:
        what = f"You may not open {path}: {os.strerror(errno.EPERM)}."
        why = f"{hint} Its permissions are not the cause: they would give another error."
        return Gap("permission", what, why.strip(), _pass_in(path))
    if isinstance(failure, OSError) and failure.strerror:
        what = f"{path} cannot be used: {failure.strerror}."
    else:
        what = f"{path} cannot be used: {failure}"
    return Gap("kvm", what, hint, _NAME_IT)


def _pass_in(path: str) -> str:
    kind = host.container()
    if kind is None:
        return "Look at what confines this process: a cgroup, a sandbox, a security module."
    return f"This is a container ({kind}): start it with --device {path}."


def _not_passed_in(path: str) -> Gap:
    what = f"There is no {path}, though this kernel has KVM."
    if kind := host.container():
        why = f"This is a container ({kind}), and the device was not passed in."
        return Gap("node", what, why, f"Start it with --device {path}.")
    why = "Nobody made the node in this /dev: a container, a chroot, or a /dev without devtmpfs."
    remedy = f"In a container: start it with --device {path}. Else: sudo mknod {path} {_NUMBERS}"
    return Gap("node", what, why, remedy)


def _no_driver(what: str) -> Gap:
    why, remedy = _why_no_driver()
    if log := host.kernel_log():
        why += " The kernel's log has: " + "; ".join(f'"{line}"' for line in log[:4]) + "."
    return Gap("driver", what, why, remedy)


def _why_no_driver() -> tuple[str, str]:
    machine = platform.machine()
    if machine != "aarch64":
        return (
            f"KVM's modules are not loaded, or this {machine} processor offers no virtualisation.",
            "sudo modprobe kvm_intel (or kvm_amd); where that fails, allow virtualisation in the "
            "firmware, or nested virtualisation in the hypervisor.",
        )
    if "kvm-arm.mode=none" in host.kernel_words():
        return (
            "KVM is switched off by kvm-arm.mode=none among the kernel's boot words.",
            "Remove it from the boot loader's configuration and boot again.",
        )
    level = host.started_at()
    if level == "EL1":
        return (
            "The kernel was entered at EL1: whoever started it kept EL2 for itself, and KVM cannot "
            "run without.",
            "In a virtual machine: use a bare-metal machine, or a hypervisor with nested "
            "virtualisation (QEMU emulating: -machine virt,virtualization=on). On a board: its "
            "firmware must enter the kernel at EL2.",
        )
    log = "sudo dmesg | grep -e kvm -e 'started at'"
    if level == "EL2":
        return (
            "The kernel was entered at EL2, so it was built without KVM (CONFIG_KVM), or KVM "
            "refused this hardware.",
            f"What the kernel says: {log}",
        )
    return (
        "The kernel was built without KVM, or entered at EL1 (EL2 kept by a hypervisor or "
        "firmware); which one cannot be seen from here.",
        f"What the kernel says: {log}",
    )


def _no_permission(path: str, hint: str) -> Gap:
    what = f"You may not open {path}: {os.strerror(errno.EACCES)}."
    try:
        node = Path(path).stat()
    except OSError:
        return Gap("permission", what, hint, "")
    group, user = _name_of(node.st_gid, group=True), _name_of(os.geteuid())
    mode = stat.S_IMODE(node.st_mode)
    owner = f"It belongs to {_name_of(node.st_uid)}:{group}, mode {mode:04o}; you are {user}."
    if os.statvfs(Path(path).parent).f_flag & os.ST_NODEV:
        why = f"Its file system is mounted with nodev, so no device of it opens. {owner}"
        return Gap("permission", what, why, "Use the node in /dev.")
    in_session = node.st_gid in {*os.getgroups(), os.getegid()}
    if mode & 0o006 == 0o006 or (in_session and mode & 0o060 == 0o060):
        why = f"Its permissions would let you, so a sandbox or security module forbids. {owner}"
        return Gap("permission", what, why, "Look at its log: sudo dmesg, sudo ausearch -m avc")
    if mode & 0o060 != 0o060 or node.st_gid == 0:
        make = "" if _group_exists("kvm") else "sudo groupadd --system kvm && "
        why = f"{owner} No group is there that ordinary users could join."
        remedy = (
            f"{make}sudo chown root:kvm {path} && sudo chmod 0660 {path} && "
            f"sudo usermod -aG kvm {user}, then log in again. (Until the next boot; to last: a "
            f'udev rule KERNEL=="kvm", GROUP="kvm", MODE="0660".)'
        )
        return Gap("permission", what, why, remedy)
    if user in _members(group):
        why = f"{owner} You are a member of {group}, but this session is older than that."
        return Gap("permission", what, why, f"Log in again, or: newgrp {group}")
    why = f"{owner} You are not in the group {group}."
    return Gap("permission", what, why, f"sudo usermod -aG {group} {user}, then log in again.")


def _name_of(number: int, *, group: bool = False) -> str:
    """A user's or group's name, or its number."""
    try:
        return grp.getgrgid(number).gr_name if group else pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _members(group: str) -> list[str]:
    return grp.getgrnam(group).gr_mem if _group_exists(group) else []


def _group_exists(name: str) -> bool:
    return any(found.gr_name == name for found in grp.getgrall())
