# SPDX-License-Identifier: Apache-2.0
"""Calls on /dev/kvm."""

from __future__ import annotations

import pykvm
from pykvm import Cap
from tests.kvm.calls.table import U32, Call
from tests.kvm.kinds import Descriptor, Int, Other, Wrong

_PATH = Other(
    *(Wrong(value, TypeError, "PathLike") for value in (None, 5, 5.0, [], object())),
    Wrong("a\0b", ValueError, "null"),
    Wrong("", pykvm.KvmError, "open(path='')"),
)

CALLS: list[Call] = [
    Call("Kvm", "", {"path": ("/dev/kvm", _PATH)}),
    Call("Kvm.adopt", "", {"given": (lambda stage: stage["kvm"], Descriptor())}),
    Call("Kvm.adopt_vm", "kvm", {"given": (lambda stage: stage["vm"], Descriptor())}),
    Call("Kvm.check_extension", "kvm", {"cap": (Cap.IRQFD, Int(0, U32, bools=True))}),
    Call("Kvm.close", "kvm", closed=None),
    Call("Kvm.closed", "kvm", closed=None),
    Call("Kvm.create_vm", "kvm", {"ipa_bits": (0, Int(0, 255))}),
    Call("Kvm.fileno", "kvm"),
    Call("Kvm.get_api_version", "kvm"),
    Call("Kvm.get_vcpu_mmap_size", "kvm"),
]
