# SPDX-License-Identifier: Apache-2.0
"""Dirty rings of a guest that writes to many pages, and the bitmap beside them."""

from __future__ import annotations

import errno
import mmap

import pytest
from guests import arguments, layout
from tinyvm import TinyVm

from pykvm import VM, Cap, DirtyPage, DirtyRingFull, GuestMemory, KvmError, VgicV3, bitmap_runs
from tests.arm64.conftest import refused
from tests.arm64.pages import MARKED, PAGES_GPA, writing
from tests.arm64.spis import Tiny, ready

pytestmark = pytest.mark.needs("dirty_ring")

#: The smallest ring that there is: a page.
RING = mmap.PAGESIZE
ENTRIES = RING // 16


def both(vm: VM) -> None:
    """Rings, with bitmaps for what no vCPU writes."""
    vm.enable_dirty_log_ring(RING)
    vm.enable_dirty_log_ring_with_bitmap()


@pytest.mark.covers(
    "enable DIRTY_LOG_RING_ACQ_REL", "exit DIRTY_RING_FULL", "vm KVM_RESET_DIRTY_RINGS"
)
def test_a_full_ring_ends_run_until_it_is_reset(tiny: Tiny) -> None:
    """All pages are seen, in the order in which they were written to, round after round.

    The page whose write filled the ring comes twice: the guest writes to it after the reset.
    """
    pages = ENTRIES + 10
    memory = GuestMemory(pages * mmap.PAGESIZE)
    machine = writing(tiny, pages, rounds=2, prepare=both)
    slot = machine.vm.add_memory(PAGES_GPA, memory, log_dirty=True)
    vcpu = machine.vcpus[0]
    for _ in range(2):
        taken: list[DirtyPage] = []
        assert vcpu.run() == DirtyRingFull()
        assert vcpu.run() == DirtyRingFull(), "nothing was harvested"
        while (end := vcpu.run()) == DirtyRingFull():
            part = vcpu.harvest_dirty_ring()
            assert vcpu.harvest_dirty_ring() == []
            assert 0 < len(part) <= ENTRIES
            assert machine.vm.reset_dirty_rings() == len(part)
            taken += part
        assert end == MARKED
        taken += vcpu.harvest_dirty_ring()
        machine.vm.reset_dirty_rings()
        assert list(dict.fromkeys(taken)) == [(slot.slot, page) for page in range(pages)]


def pending_table_saved(machine: TinyVm) -> None:
    """KVM writes the LPIs that are pending into the guest's table, without any vCPU."""
    assert isinstance(machine.vgic, VgicV3)
    machine.vgic.set_device_attr(4, 3)  # CTRL, SAVE_PENDING_TABLES


@pytest.fixture
def with_lpi(tiny: Tiny) -> TinyVm:
    """A machine with rings and bitmaps, and an LPI that the guest has not taken yet."""
    machine = tiny("lpi", its=True, prepare=both)
    machine.set_registers(arguments.lpi(device_id=8))
    with machine.running():
        ready(machine)
    assert machine.vm.signal_msi(layout.ITS_TRANSLATER_GPA, 0, devid=8)
    return machine


@pytest.mark.needs("its")
@pytest.mark.covers("enable DIRTY_LOG_RING_WITH_BITMAP", "cap DIRTY_LOG_RING_WITH_BITMAP")
def test_what_no_vcpu_writes_is_in_the_bitmap(with_lpi: TinyVm) -> None:
    assert with_lpi.vm.check_extension(Cap.DIRTY_LOG_RING_WITH_BITMAP) == 1
    slot = with_lpi.slot
    slot.log_dirty = True
    assert bitmap_runs(slot.get_dirty_log()) == []
    pending_table_saved(with_lpi)
    page = (layout.LPI_PENDING_GPA + 8192 // 8 - layout.RAM_GPA) // mmap.PAGESIZE
    assert bitmap_runs(slot.get_dirty_log()) == [(page, 1)]
    assert with_lpi.vcpus[0].harvest_dirty_ring() == []


@pytest.mark.covers("enable DIRTY_LOG_RING_WITH_BITMAP")
def test_with_the_bitmap_logs_can_be_read(tiny: Tiny) -> None:
    machine = writing(tiny, 3, prepare=both)
    memory = GuestMemory(64 * mmap.PAGESIZE)
    slot = machine.vm.add_memory(PAGES_GPA, memory, log_dirty=True)
    assert machine.vcpus[0].run() == MARKED
    assert slot.get_dirty_log() == bytes(8), "what vCPUs write is in their rings alone"
    assert machine.vcpus[0].harvest_dirty_ring() == [(slot.slot, page) for page in range(3)]


def test_the_bitmap_needs_rings_and_comes_before_slots(vm: VM) -> None:
    with refused(errno.EINVAL, "KVM_ENABLE_CAP"):
        vm.enable_dirty_log_ring_with_bitmap()
    vm.enable_dirty_log_ring(RING)
    with GuestMemory(mmap.PAGESIZE) as memory:
        slot = vm.add_memory(PAGES_GPA, memory)
        with refused(errno.EINVAL, "KVM_ENABLE_CAP"):
            vm.enable_dirty_log_ring_with_bitmap()
        slot.close()
    vm.enable_dirty_log_ring_with_bitmap()


@pytest.mark.covers("cap DIRTY_LOG_RING")
def test_the_ring_of_other_machines_is_not_there(vm: VM) -> None:
    assert vm.check_extension(Cap.DIRTY_LOG_RING) == 0
    with pytest.raises(KvmError) as caught:
        vm.enable_cap(Cap.DIRTY_LOG_RING, [RING])
    assert caught.value.errno == errno.EINVAL
