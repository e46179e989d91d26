# SPDX-License-Identifier: Apache-2.0
"""What this host's KVM can do: asked and tried, not guessed.

:func:`collect` gathers facts as plain data; :mod:`pykvm.render` shows them to a person.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import Any

from pykvm import __version__
from pykvm.caps import Cap
from pykvm.device import DeviceType
from pykvm.errors import KvmError
from pykvm.kvm import Kvm
from pykvm.vm import VM

__all__ = ["collect"]

#: Width of guest physical addresses that every arm64 host without the capability has.
_OLD_IPA_BITS = 40


def collect(path: str = "/dev/kvm") -> dict[str, Any]:
    """Everything that is known of the host at ``path``, ready for JSON.

    ``capabilities`` lists all of :class:`~pykvm.Cap` with the answers of the system and of a fresh
    VM, None where that one cannot be asked; ``devices`` says which types this host can make.
    ``ipa_bits`` is None on machines that are not arm64.
    Errors: KvmError where KVM cannot be opened or no VM be made.
    """
    machine = os.uname()
    with Kvm(path) as kvm, kvm.create_vm() as vm:
        return {
            "pykvm": __version__,
            "machine": machine.machine,
            "kernel": machine.release,
            "page_size": mmap.PAGESIZE,
            "api_version": kvm.get_api_version(),
            "vcpu_mmap_size": kvm.get_vcpu_mmap_size(),
            "ipa_bits": _ipa_bits(kvm, machine.machine),
            "capabilities": [
                {
                    "name": cap.name,
                    "number": int(cap),
                    "system": _answer(kvm, cap),
                    "vm": _answer(vm, cap),
                }
                for cap in Cap
            ],
            "devices": [
                {"name": kind.name, "type": int(kind), "available": vm.has_device(kind)}
                for kind in DeviceType
            ],
        }


def _answer(asked: Kvm | VM, cap: Cap) -> int | None:
    try:
        return asked.check_extension(cap)
    except KvmError as refusal:
        if refusal.errno != errno.EINVAL:
            raise
        return None  # a question about the other one


def _ipa_bits(kvm: Kvm, machine: str) -> int | None:
    if machine != "aarch64":
        return None
    return kvm.check_extension(Cap.ARM_VM_IPA_SIZE) or _OLD_IPA_BITS
