# SPDX-License-Identifier: Apache-2.0
"""What trials are made with: VMs and vCPUs that live for one of them."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pykvm.caps import Cap
from pykvm.exits import Exit
from pykvm.kvm import Kvm
from pykvm.vcpu import Vcpu, VcpuFeature
from pykvm.vm import VM

__all__ = ["DEFAULT_IPA_BITS", "is_arm64", "kicked_after", "next_exit", "one_vcpu", "small_vm"]

#: Width of guest physical addresses where the kernel is not asked for another one, and the only
#: one of hosts without the capability.
DEFAULT_IPA_BITS = 40


def is_arm64() -> bool:
    return platform.machine() == "aarch64"


def small_vm(kvm: Kvm) -> VM:
    """A VM also where the host cannot do the default's 40 bits of addresses."""
    bits = kvm.check_extension(Cap.ARM_VM_IPA_SIZE)
    return kvm.create_vm(ipa_bits=bits if bits < DEFAULT_IPA_BITS else 0)


@contextmanager
def one_vcpu(kvm: Kvm, features: Iterable[VcpuFeature | int] = ()) -> Iterator[tuple[VM, Vcpu]]:
    """A VM with one vCPU, which is initialised on arm64."""
    with small_vm(kvm) as vm, vm.create_vcpu(0) as vcpu:
        if is_arm64():
            vcpu.arm_vcpu_init(features)
        yield vm, vcpu


@contextmanager
def kicked_after(vcpu: Vcpu, seconds: float) -> Iterator[None]:
    """One run of the vCPU, the first that is still under way then, ends with Interrupted."""
    timer = threading.Timer(seconds, vcpu.kick)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def next_exit(vcpu: Vcpu, seconds: float) -> Exit:
    """The next exit, or Interrupted when the time is over."""
    with kicked_after(vcpu, seconds):
        return vcpu.run()
