# SPDX-License-Identifier: Apache-2.0
"""Machines for the tests of this tier: a VM in each state that tests start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from tinyvm import TinyVm

from pykvm import VM, Kvm, KvmError, Vcpu, VcpuFeature, Vgic

#: Seconds until a guest that does not answer counts as hung. Emulated hosts stall for long.
PATIENCE = 60.0


@contextmanager
def refused(error: int, ioctl: str) -> Iterator[None]:
    """Expects a KvmError of that errno and call, which also says what to do."""
    with pytest.raises(KvmError) as caught:
        yield
    assert (caught.value.errno, caught.value.ioctl) == (error, ioctl), caught.value
    assert caught.value.hint


@pytest.fixture
def vm() -> Iterator[VM]:
    """An empty VM."""
    with Kvm() as kvm, kvm.create_vm() as vm:
        yield vm


@pytest.fixture
def vcpu(vm: VM) -> Iterator[Vcpu]:
    """An initialised vCPU of that VM, which has no GIC."""
    vcpu = vm.create_vcpu(0)
    vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
    yield vcpu
    vcpu.close()


@pytest.fixture
def vgic(vm: VM, vcpu: Vcpu) -> Iterator[Vgic]:
    """A GIC of that VM with one vCPU, neither placed nor initialised."""
    with vm.create_vgic() as vgic:
        yield vgic


@pytest.fixture
def tiny() -> Iterator[Callable[..., TinyVm]]:
    """Makes machines with a tiny guest, and ends them after the test."""
    with ExitStack() as stack:
        yield lambda *words, **options: stack.enter_context(TinyVm(*words, **options))
