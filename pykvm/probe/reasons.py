# SPDX-License-Identifier: Apache-2.0
"""Why something is not there, and what to do about it."""

from __future__ import annotations

import errno as _errno
import os
import re
from typing import TYPE_CHECKING

from pykvm.probe.about import ABOUT
from pykvm.probe.report import Reason

if TYPE_CHECKING:
    from pykvm.probe.facts import Fact
    from pykvm.probe.report import Report

__all__ = ["reason_for"]

#: Without any GIC in the kernel, all of them are missing for one reason.
_NEED_A_GIC = ("gicv2", "gicv3", "its", "spis", "irqfd", "irqfd_resample", "msi")
_CONFINED = ("EPERM", "EACCES", "ENOSYS")


def reason_for(report: Report, name: str) -> Reason:
    """As :meth:`Report.reason`."""
    fact, about = report.facts[name], ABOUT.get(name)
    if about is None:
        return Reason("This fact is newer than this pykvm.", "")
    if fact.state == "value":
        return Reason("", "")
    if not report.facts["kvm"].yes and report.gaps:
        gap = report.gaps[-1]
        return Reason(f"{gap.what} {gap.why}", gap.remedy)
    if fact.state == "failed":
        return _failure(fact)
    if about.of and not report.facts[about.of].yes:
        return reason_for(report, about.of)
    if name in _NEED_A_GIC and not (report.facts["gicv2"].yes or report.facts["gicv3"].yes):
        for gap in report.gaps:
            if gap.name == "gic":
                return Reason(gap.why, gap.remedy)
    if about.group == "selftest":
        return _of_selftest(report, name, fact)
    if report.facts["machine"].value != "aarch64" and fact.source == "the machine is no arm64":
        return Reason(f"It is arm64's, and this machine is {report.facts['machine'].value}.", "")
    running = str(report.facts["kernel"].value)
    if about.since and _version(running) < _version(about.since):
        return Reason(f"Linux {about.since} brought it.", "Boot that or a newer one.")
    gic = report.facts["host_gic"]
    here = f" The host's own is a GIC{gic.value}." if gic.yes and name.startswith("gic") else ""
    why = about.lacks or "The kernel answers that it has no such thing"
    if not about.lacks and fact.errno:
        why += f" ({fact.errno})"
    return Reason(why.rstrip(".") + "." + here, about.remedy)


def _failure(fact: Fact) -> Reason:
    name = fact.errno or ""
    number = getattr(_errno, name, 0)
    why = f"{fact.source} fails: {os.strerror(number)} [{name}]."
    if name in _CONFINED:
        return Reason(
            f"{why} KVM does not refuse it so: a sandbox (seccomp) or a security module does.",
            "Allow this process the ioctls of /dev/kvm.",
        )
    if name in ("EMFILE", "ENFILE"):
        return Reason(why, "Raise the limit of open files: ulimit -n.")
    return Reason(why, "The kernel's log may tell: sudo dmesg | tail")


def _of_selftest(report: Report, name: str, fact: Fact) -> Reason:
    if report.selftest is None:
        return Reason("It was not tried.", "pykvm probe --selftest")
    for check in report.selftest:
        if f"selftest_{check.name}" == name:
            return Reason(check.why, "")
    return Reason(fact.source, "")


def _version(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", release)[:2]))
