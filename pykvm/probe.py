# SPDX-License-Identifier: Apache-2.0
"""What this host's KVM can do: asked and tried, not guessed.

:func:`collect` gathers facts as plain data; :mod:`pykvm.render` shows them to a person.
"""

from __future__ import annotations

import errno
import mmap
import platform
from contextlib import ExitStack
from typing import Any

from pykvm import __version__
from pykvm.caps import Cap
from pykvm.device import DeviceType
from pykvm.errors import KvmError
from pykvm.host import host_gic, started_at
from pykvm.kvm import Kvm
from pykvm.limits import gics, ipa_bits, limits, small_vm
from pykvm.missing import in_a_vm, refused, unopened
from pykvm.vm import VM

__all__ = ["SCHEMA", "collect"]

#: The version of the facts' form; 0 may change without notice.
SCHEMA = 0


def collect(path: str = "/dev/kvm", *, selftest: bool = False) -> dict[str, Any]:
    """Everything that is known of the host at ``path``, ready for JSON.

    It never fails for want of KVM: what could not be asked is None or empty, and ``missing`` says
    why (:mod:`pykvm.missing`).

    ``capabilities`` lists all of :class:`~pykvm.Cap` with the answers of the system and of a fresh
    VM, None where that one cannot be asked; ``devices`` says which types this host can make;
    ``gics`` what a VM with each of them can have; ``irqfd`` whether irqfds work, and with a
    resamplefd, by trial where there is a GIC, else by capability. ``selftest`` are the results of
    :mod:`pykvm.selftest`, None if not asked for. ``ipa_bits`` is None on machines that are not
    arm64.
    """
    facts = _blank(path)
    with ExitStack() as stack:
        try:
            kvm = stack.enter_context(Kvm(path))
        except (OSError, ImportError) as failure:
            facts["missing"] = unopened(path, failure)
            kvm = None
        if kvm is not None:
            facts["kvm"] = True
            _ask(kvm, facts)
        if selftest:
            facts["selftest"] = _selftest(kvm)
    return facts


def _blank(path: str) -> dict[str, Any]:
    """What is known without KVM."""
    return {
        "schema": SCHEMA,
        "pykvm": __version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "page_size": mmap.PAGESIZE,
        "host_gic": host_gic(),
        "entered_at": started_at(),
        "path": path,
        "kvm": False,
        "missing": [],
        "api_version": None,
        "vcpu_mmap_size": None,
        "ipa_bits": None,
        "limits": {},
        "gics": [],
        "irqfd": {"works": None, "resample": None, "by": None},
        "devices": [],
        "capabilities": [],
        "selftest": None,
    }


def _ask(kvm: Kvm, facts: dict[str, Any]) -> None:
    facts["api_version"] = kvm.get_api_version()
    facts["vcpu_mmap_size"] = kvm.get_vcpu_mmap_size()
    if facts["machine"] == "aarch64":
        facts["ipa_bits"] = ipa_bits(kvm)
        facts["entered_at"] = "EL2"  # KVM needs it
    try:
        with small_vm(kvm) as vm:
            facts["capabilities"] = _capabilities(kvm, vm)
            facts["limits"] = limits(vm)
            facts["devices"] = _devices(vm)
            facts["gics"] = gics(kvm, vm)
    except KvmError as refusal:
        facts["missing"].append(refused(refusal))
        facts["capabilities"] = facts["capabilities"] or _capabilities(kvm, None)
        return
    facts["irqfd"] = _irqfd(kvm, facts)
    kinds = {device["name"] for device in facts["devices"] if device["available"]}
    facts["missing"] += in_a_vm(kinds, {gic["version"] for gic in facts["gics"]})


def _capabilities(kvm: Kvm, vm: VM | None) -> list[dict[str, Any]]:
    return [
        {
            "name": f"KVM_CAP_{cap.name}",
            "number": int(cap),
            "system": _answer(kvm, cap),
            "vm": None if vm is None else _answer(vm, cap),
            "meaning": cap.__doc__,
        }
        for cap in Cap
    ]


def _answer(asked: Kvm | VM, cap: Cap) -> int | None:
    try:
        return asked.check_extension(cap)
    except KvmError as refusal:
        if refusal.errno != errno.EINVAL:
            raise
        return None  # a question about the other one


def _devices(vm: VM) -> list[dict[str, Any]]:
    return [
        {
            "name": f"KVM_DEV_TYPE_{kind.name}",
            "type": int(kind),
            "available": vm.has_device(kind),
            "meaning": kind.__doc__,
        }
        for kind in DeviceType
    ]


def _irqfd(kvm: Kvm, facts: dict[str, Any]) -> dict[str, Any]:
    if facts["machine"] == "aarch64":
        works, resample = (any(gic[key] for gic in facts["gics"]) for key in ("irqfd", "resample"))
        return {"works": works, "resample": resample, "by": "trial"}
    works, resample = (bool(kvm.check_extension(c)) for c in (Cap.IRQFD, Cap.IRQFD_RESAMPLE))
    return {"works": works, "resample": resample, "by": "capability"}


def _selftest(kvm: Kvm | None) -> list[dict[str, Any]]:
    from pykvm.selftest import impossible, run_selftest

    return impossible("There is no KVM that can be used.") if kvm is None else run_selftest(kvm)
