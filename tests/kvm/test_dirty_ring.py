# SPDX-License-Identifier: Apache-2.0
"""Dirty rings: each page that a vCPU wrote to comes out, and again after a reset."""

from __future__ import annotations

import contextlib
import errno
import mmap
import time
from collections.abc import Callable

import pytest

from pykvm import VM, Cap, ClosedError, DirtyPage, Kvm, KvmError, Vcpu
from pykvm._bus import Intake
from pykvm.dirtyring import DirtyRing, VcpuDirtyRing
from tests.kvm.footprint import unchanged
from tests.kvm.machines import WRITE, Machine
from tests.kvm.processes import forked
from tests.kvm.signalled import everywhere, hit
from tests.kvm.threads import workers

Make = Callable[..., Machine]

pytestmark = pytest.mark.needs("dirty_ring")


def smallest_ring(vm: VM) -> None:
    """Switches on the smallest ring that the host takes: a page, or what its CPUs log at once."""
    size = mmap.PAGESIZE
    while True:
        try:
            return vm.enable_dirty_log_ring(size)
        except KvmError as refusal:
            if refusal.errno != errno.EINVAL or size >= 1 << 20:
                raise
        size *= 2


def ring(vm: VM) -> None:
    """Switches on what the host needs for rings that have every page."""
    smallest_ring(vm)
    if vm.check_extension(Cap.DIRTY_LOG_RING_WITH_BITMAP):
        vm.enable_dirty_log_ring_with_bitmap()


@pytest.fixture
def ringed(machine: Make) -> Machine:
    return machine(WRITE, log_dirty=True, first=ring)


@pytest.mark.covers("enable DIRTY_LOG_RING_ACQ_REL", "vm KVM_RESET_DIRTY_RINGS")
def test_a_page_comes_again_after_the_reset(ringed: Machine) -> None:
    page = DirtyPage(ringed.slot.slot, 0)
    vcpu, vm = ringed.vcpu, ringed.vm
    assert vcpu.harvest_dirty_ring() == []
    assert vm.reset_dirty_rings() == 0
    for _ in range(3):
        vcpu.run()
        vcpu.run()
        taken = vcpu.harvest_dirty_ring()
        assert set(taken) == {page}
        vcpu.run()
        taken += vcpu.harvest_dirty_ring()
        assert vm.reset_dirty_rings() == len(taken)


@pytest.mark.needs("x86_64")
def test_the_ring_goes_round(ringed: Machine) -> None:
    for _ in range(3000):
        ringed.vcpu.run()
        taken = ringed.vcpu.harvest_dirty_ring()
        assert set(taken) == {DirtyPage(ringed.slot.slot, 0)}
        assert ringed.vm.reset_dirty_rings() == len(taken)


@pytest.mark.needs("x86_64")
def test_no_signal_leaves_anything_behind(ringed: Machine, alarms: Callable[..., None]) -> None:
    """The kernel would do less when one comes, and pages that are left out miss stores."""
    alarms(lambda: None, 0.0001)
    for _ in range(3000):
        ringed.vcpu.run()
        taken = ringed.vcpu.harvest_dirty_ring()
        assert ringed.vm.reset_dirty_rings() == len(taken) > 0


def test_no_page_is_lost_for_a_signal_s_handler(ringed: Machine) -> None:
    """Whether it raises, or takes pages itself."""
    taken: list[DirtyPage] = []

    def harvest() -> None:
        taken.extend(ringed.vcpu.harvest_dirty_ring())

    def run_and_harvest() -> None:
        ringed.vcpu.run()
        ringed.vcpu.run()
        harvest()

    def check() -> None:
        harvest()
        assert set(taken) == {DirtyPage(ringed.slot.slot, 0)}
        assert ringed.vm.reset_dirty_rings() == len(taken)
        taken.clear()

    functions = VcpuDirtyRing.harvest_dirty_ring, DirtyRing.harvest, DirtyRing._fetch, Intake.move
    for handler in hit, harvest:
        assert everywhere(run_and_harvest, handler, *functions, check=check) > 5


def test_each_page_comes_to_one_thread(ringed: Machine) -> None:
    taken: list[DirtyPage] = []
    done = False

    def harvest() -> None:
        while not done:
            taken.extend(ringed.vcpu.harvest_dirty_ring())
            time.sleep(0.001)  # the vCPU's thread needs its turn too

    given_back = 0
    with workers(harvest, harvest):
        for _ in range(50):
            ringed.vcpu.run()
            given_back += ringed.vm.reset_dirty_rings()
        done = True
    taken += ringed.vcpu.harvest_dirty_ring()
    given_back += ringed.vm.reset_dirty_rings()
    assert set(taken) == {DirtyPage(ringed.slot.slot, 0)}
    assert len(taken) == given_back


@pytest.mark.covers("cap DIRTY_LOG_RING_ACQ_REL")
def test_the_capability_is_the_largest_ring(kvm: Kvm) -> None:
    largest = kvm.check_extension(Cap.DIRTY_LOG_RING_ACQ_REL)
    with kvm.create_vm() as vm:
        with pytest.raises(KvmError) as caught:
            vm.enable_dirty_log_ring(2 * largest)
        assert caught.value.errno == errno.E2BIG
        vm.enable_dirty_log_ring(largest)
        with vm.create_vcpu(0) as vcpu:
            assert vcpu.harvest_dirty_ring() == []


def test_a_size_that_is_none(vm: VM) -> None:
    for size in (1, 64 * 16 - 1, (1 << 16) + 1, 3 << 14):
        with pytest.raises(KvmError) as caught:
            vm.enable_dirty_log_ring(size)
        assert caught.value.errno == errno.EINVAL
    assert vm.create_vcpu(0).closed is False


def test_rings_come_before_vcpus(vm: VM) -> None:
    with vm.create_vcpu(0) as vcpu:
        with pytest.raises(KvmError) as caught:
            vm.enable_dirty_log_ring(1 << 16)
        assert caught.value.errno == errno.EINVAL
        with pytest.raises(KvmError, match="This vCPU has no dirty ring"):
            vcpu.harvest_dirty_ring()
    with pytest.raises(KvmError, match="The VM has no dirty rings") as caught:
        vm.reset_dirty_rings()
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("cap", [Cap.DIRTY_LOG_RING_ACQ_REL, int(Cap.DIRTY_LOG_RING_ACQ_REL)])
def test_a_ring_that_was_switched_on_by_number(vm: VM, cap: int) -> None:
    vm.enable_cap(cap, [1 << 32 | 1 << 16])  # the kernel looks at 32 bits
    with vm.create_vcpu(0) as vcpu:
        assert vcpu.harvest_dirty_ring() == []


def test_bitmaps_are_gone(machine: Make) -> None:
    slot = machine(WRITE, log_dirty=True, first=smallest_ring).slot
    for call in (slot.get_dirty_log, lambda: slot.clear_dirty_log(0, slot.pages, bytes(8))):
        with pytest.raises(KvmError, match="dirty rings instead of bitmaps") as caught:
            call()
        assert caught.value.errno == errno.ENXIO


def test_closing_leaves_nothing(kvm: Kvm) -> None:
    with unchanged(), kvm.create_vm() as vm:
        smallest_ring(vm)
        vcpu = vm.create_vcpu(0)
        view = vcpu.kvm_run
        with pytest.raises(BufferError):
            vcpu.close()
        view.release()
        assert vcpu.harvest_dirty_ring() == []
        vcpu.close()
        with pytest.raises(ClosedError, match="is closed"):
            vcpu.harvest_dirty_ring()
        vm.create_vcpu(1)  # dropped


def test_a_forked_child_is_refused(ringed: Machine) -> None:
    def child() -> None:
        for call in (ringed.vcpu.harvest_dirty_ring, ringed.vcpu.drain_coalesced_mmio):
            with pytest.raises(KvmError) as caught:
                call()
            assert caught.value.errno == errno.EIO
        ringed.close()

    forked(child)
    ringed.vcpu.run()
    assert ringed.vcpu.harvest_dirty_ring()


def test_harvesting_while_the_vcpu_closes(machine: Make) -> None:
    for _ in range(5):
        vcpu = machine(WRITE, log_dirty=True, first=smallest_ring).vcpu
        vcpu.run()

        def harvest(vcpu: Vcpu = vcpu) -> None:
            with contextlib.suppress(ClosedError):
                while True:
                    vcpu.harvest_dirty_ring()

        with workers(harvest, harvest):
            vcpu.close()
