# SPDX-License-Identifier: Apache-2.0
"""What an ordinary user can learn of a host without KVM: from files that anybody may read."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "container",
    "cpu_features",
    "has_driver",
    "host_gic",
    "kernel_log",
    "kernel_words",
    "kvm_mode",
    "started_at",
    "text",
]

#: The arm64 kernel takes the timer's interrupt that belongs to the level it was entered at. By the
#: convention that firmware follows, its INTIDs are: EL2's own (VHE), EL1's physical one (a kernel
#: that left KVM behind at EL2), the virtual one (nothing at EL2).
_TIMER_LEVELS = {"26": "EL2", "30": "EL2", "27": "EL1"}
_TIMER = re.compile(r"\s(\d+)\s+(?:Level|Edge)\s+arch_timer$", re.MULTILINE)
_GIC = re.compile(r"\sGIC(v2|v3|v5|-0)\s")
_STARTED = re.compile(r"All CPU\(s\) started at (EL[12])")
#: What KVM says of itself as it comes up; before 6.5, nVHE was the only other mode.
_MODE = re.compile(r"^kvm \[\d+\]: (Protected )?(?:Hyp ?)?([nh]?VHE|mode)(\+NV2)?(?: mode)? init")


def has_driver() -> bool | None:
    """Whether the running kernel has a KVM that came up; None where it cannot be seen.

    Seen in containers too, where the node may be missing.
    """
    misc = text("/proc/misc")
    return bool(re.search(r"^\s*\d+ kvm$", misc, re.MULTILINE)) if misc else None


def started_at() -> str | None:
    """The exception level that the arm64 kernel was entered at, "EL1" or "EL2", if it shows."""
    if platform.machine() != "aarch64":
        return None
    return level_in(text("/proc/interrupts"), kernel_log())


def level_in(interrupts: str, log: Iterable[str]) -> str | None:
    """As :func:`started_at`, from the text of /proc/interrupts and lines of the kernel's log."""
    if said := [found[1] for line in log if (found := _STARTED.search(line))]:
        return said[0]
    timer = _TIMER.search(interrupts)
    return _TIMER_LEVELS.get(timer[1]) if timer else None


def kvm_mode() -> str | None:
    """How KVM runs: "vhe", "nvhe", "hvhe", "protected" or "nested" (VHE, and guests may be
    hypervisors), if it shows."""
    if platform.machine() != "aarch64":
        return None
    return mode_in(text("/proc/interrupts"), kernel_log(), kernel_words())


def mode_in(interrupts: str, log: Iterable[str], words: Iterable[str]) -> str | None:
    """As :func:`kvm_mode`: what the log says wins, then what the timer's interrupt betrays."""
    for line in log:
        if found := _MODE.search(line):
            if found[1]:
                return "protected"
            return "nested" if found[3] else found[2].lower().replace("mode", "nvhe")
    if "kvm-arm.mode=protected" in words:
        return "protected"
    timer = _TIMER.search(interrupts)
    return {"26": "vhe", "30": "nvhe"}.get(timer[1]) if timer else None


def cpu_features() -> tuple[str, ...]:
    """What the kernel tells programs of its CPUs, by the names in /proc/cpuinfo."""
    found = re.search(r"^(?:Features|flags)\s*: (.*)$", text("/proc/cpuinfo"), re.MULTILINE)
    return tuple(found[1].split()) if found else ()


def host_gic() -> str | None:
    """The GIC that the host itself runs on, as "v3", if it shows."""
    return gic_in(text("/proc/interrupts"))


def gic_in(interrupts: str) -> str | None:
    """As :func:`host_gic`, from the text of /proc/interrupts."""
    found = _GIC.search(interrupts)
    return found[1].replace("-0", "v2") if found else None  # a GICv2's name in older kernels


def kernel_words() -> list[str]:
    """The words that the kernel was booted with."""
    return text("/proc/cmdline").split()


def kernel_log() -> list[str]:
    """The lines of the kernel's log about KVM; none where this user may not read it."""
    lines = []
    try:
        log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        while True:
            try:
                record = os.read(log, 1 << 13)
            except BrokenPipeError:  # overwritten before it was read: the next one is there
                continue
            line = record.decode("utf-8", "replace").partition(";")[2].partition("\n")[0]
            if line.startswith("kvm") or _STARTED.search(line):
                lines.append(line)
    except OSError:  # no more
        return lines
    finally:
        os.close(log)


def container() -> str | None:
    """What kind of container this is, if its marks show."""
    if Path("/run/.containerenv").exists():
        return "podman"
    if Path("/.dockerenv").exists():
        return "docker"
    # The variable's name is small: systemd's convention for those that run containers.
    named = text("/run/systemd/container").strip() or os.environ.get("container")  # noqa: SIM112
    return named or None


def text(path: str) -> str:
    """What a file holds; nothing where it cannot be read."""
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""
