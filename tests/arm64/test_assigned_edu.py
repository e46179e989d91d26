# SPDX-License-Identifier: Apache-2.0
"""What VFIO and KVM agree on, with a device that does what it is told and guests without an OS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import pytest
from guests import arguments, layout
from minivmm.vfio.assign import connect_line
from minivmm.vfio.device import INTX, MSI, MSIX, VfioDevice
from minivmm.vfio.dma import Container
from minivmm.vfio.host import HostDevice
from tally import wait_for
from tinyvm import TinyVm

from pykvm import EventFd, Exit, GuestMemory, MmioWrite, MsiRoute
from tests.arm64 import edu as registers
from tests.arm64.conftest import PATIENCE
from tests.arm64.edu import BUFFER, LIVENESS, LOWER, RAISE, STATUS, Edu, edu
from tests.arm64.spis import INTID, Tiny
from tests.arm64.test_readme import blocks
from tests.kvm.footprint import unchanged
from tests.vfio import bound

pytestmark = pytest.mark.needs("vfio_group")

LOW = 0x10_0000  # edu's DMA has 28 bits of address
SIZE = 0x1_0000


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Of descriptors and mappings, after everything else has ended."""
    with unchanged():
        yield


@pytest.fixture
def device() -> Iterator[Edu]:
    with edu() as device:
        yield device


class Acknowledged:
    """The handler of exits: counts the guest's acknowledges, and knows nothing else."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, exit: Exit) -> None:
        assert isinstance(exit, MmioWrite), exit
        assert exit.gpa == layout.DEVICE_ACK_GPA, exit
        self.count += 1


@contextmanager
def driving(tiny: Tiny, device: Edu, **options: int) -> Iterator[TinyVm]:
    """A machine whose guest drives the device by its registers: its slot goes with the block."""
    machine = tiny("edu")
    words = arguments.edu(gic_version=machine.gic_version, intid=INTID, **options)  # type: ignore[arg-type]
    machine.set_registers(words)
    with ExitStack() as undo:
        mapping = undo.enter_context(device.map(device.bar, range(device.bar.size)))
        undo.enter_context(machine.vm.add_memory(layout.EDU_GPA, mapping))
        yield machine


def has_done_all(machine: TinyVm) -> bool:
    return wait_for(lambda: machine.report.waiting, 1, PATIENCE)


# Interrupts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ends", "rounds"), [(0, 100), (1, 50), (20, 10)])
def test_a_line_that_is_left_up_comes_again_after_each_end(
    tiny: Tiny, device: Edu, ends: int, rounds: int
) -> None:
    """So often and not once more: it is the device's line that the guest's GIC sees."""
    acknowledged = Acknowledged()
    with driving(tiny, device, ends=ends, rounds=rounds) as machine:
        irqfd = connect_line(machine.vm, device, INTID)
        with machine.running(acknowledged):
            assert has_done_all(machine), machine.report.failure
        report, wanted = machine.report, (ends + 1) * rounds
        assert report.taken(INTID) == report.ended(INTID) == wanted
        assert acknowledged.count == wanted
        assert report.spurious == 0
        assert (report.count, report.results[1], report.results[2]) == (rounds, rounds, 0)
        device.release(INTX)
        irqfd.close()


def test_the_whole_of_it_in_readme(tiny: Tiny, device: Edu) -> None:
    [program] = [block for block in blocks() if "device.map(bar" in block]
    machine = tiny("edu")
    words = arguments.edu(gic_version=machine.gic_version, intid=96, ends=3, rounds=5)
    machine.set_registers(words)
    stage: dict[str, Any] = {"vm": machine.vm, "device": device, "bar": device.bar, "INTX": INTX}
    stage |= {"container": device.container, "RAM": layout.RAM_GPA, "memory": machine.memory}
    exec(program, stage)
    with machine.running(Acknowledged()):
        assert has_done_all(machine), machine.report.failure
    assert machine.report.taken(96) == machine.report.ended(96) == 20
    device.release(INTX)
    machine.close()
    stage["registers"].close()


def test_without_a_resamplefd_it_comes_without_end(tiny: Tiny, device: Edu) -> None:
    """The guest lowers the device's line at once; but nobody tells the GIC."""
    acknowledged = Acknowledged()
    with driving(tiny, device, ends=0, rounds=1) as machine:
        irqfd = connect_line(machine.vm, device, INTID, resample=False)
        with machine.running(acknowledged):
            assert wait_for(lambda: machine.report.taken(INTID), 1000, PATIENCE)
        assert not machine.report.waiting
        device.release(INTX)
        irqfd.close()


def test_a_masked_line_is_silent_and_an_unmasked_one_fires_while_it_is_up(device: Edu) -> None:
    with EventFd() as trigger, EventFd() as unmask:
        device.set_triggers(INTX, [trigger])
        device.set_unmask(unmask)
        device.store(RAISE, 1)
        assert trigger.wait(PATIENCE) == 1  # and masked from here on
        for ways in range(10):
            device.unmask() if ways % 2 else unmask.signal()
            assert trigger.wait(PATIENCE) == 1
        device.store(LOWER, 1)
        device.unmask()
        device.mask()
        device.store(RAISE, 2)
        assert device.load(STATUS) == 2
        assert trigger.read() == 0
        device.unmask()
        assert trigger.wait(PATIENCE) == 1
        device.store(LOWER, 2)
        device.release(INTX)


@pytest.mark.needs("its")
def test_each_message_is_one_lpi(tiny: Tiny, device: Edu) -> None:
    """A message-signalled interrupt: VFIO, eventfd, irqfd, the ITS, the guest."""
    count, gsi, device_id, event_id = 100, 7, 8, 0
    machine = tiny("lpi", gic=3, its=True)
    machine.set_registers(arguments.lpi(device_id=device_id))
    assert machine.its is not None
    machine.vm.set_gsi_routing([MsiRoute(gsi, machine.its.doorbell, event_id, device_id)])
    assert device.irq_count(MSI) == 1
    irqfd = machine.vm.irqfd(gsi=gsi)
    device.set_triggers(MSI, [irqfd.trigger])
    report = machine.report
    with machine.running():
        assert wait_for(lambda: report.ready, 1, PATIENCE), report.failure
        for number in range(1, count + 1):
            if number % 2:
                device.store(RAISE, 1)
                device.store(LOWER, 1)
            else:
                device.trigger(MSI)
            assert wait_for(lambda: report.lpi_ended(event_id), number, PATIENCE)
    assert (report.lpi_taken(event_id), report.spurious) == (count, 0)
    device.release(MSI)
    irqfd.close()


@pytest.mark.needs("its")
def test_each_vector_of_msix_is_an_lpi_of_its_own(tiny: Tiny) -> None:
    """Of an xHCI controller, whose vectors VFIO signals as the device would."""
    vectors, first_gsi, device_id = 4, 7, 8
    machine = tiny("lpi", gic=3, its=True)
    machine.set_registers(arguments.lpi(device_id=device_id, events=vectors))
    assert machine.its is not None
    doorbell = machine.its.doorbell
    machine.vm.set_gsi_routing(
        MsiRoute(first_gsi + event, doorbell, event, device_id) for event in range(vectors)
    )
    report = machine.report
    with closing(Container()) as container:
        host = HostDevice(bound("xhci"))
        with closing(VfioDevice(container.open_device(host))) as xhci, machine.running():
            xhci.enable()
            assert xhci.irq_count(MSIX) >= vectors
            irqfds = [machine.vm.irqfd(gsi=first_gsi + event) for event in range(vectors)]
            xhci.set_triggers(MSIX, [irqfd.trigger for irqfd in irqfds])
            assert wait_for(lambda: report.ready, 1, PATIENCE), report.failure
            for event in range(vectors):
                for number in range(1, event + 2):
                    xhci.trigger(MSIX, event)
                    assert wait_for(partial(report.lpi_ended, event), number, PATIENCE)
            xhci.release(MSIX)
            for irqfd in irqfds:
                irqfd.close()
    assert [report.lpi_taken(event) for event in range(vectors)] == [1, 2, 3, 4]
    assert report.spurious == 0


# Registers and memory -----------------------------------------------------------------------------


def test_registers_are_the_same_from_everywhere(device: Edu) -> None:
    assert device.load(registers.ID) == 0x010000ED
    with device.map(device.bar, range(device.bar.size)) as mapping:
        mapping.store(LIVENESS, 4, 0x1234_5678)
        assert device.load(LIVENESS) == mapping.load(LIVENESS, 4) == 0x1234_5678 ^ 0xFFFF_FFFF
        with pytest.raises(BufferError, match="in use"), mapping.view():
            mapping.close()


def test_dma_reaches_what_is_mapped_until_it_is_not(device: Edu) -> None:
    def copy(source: int, target: int, *, from_device: bool) -> None:
        device.copy(source, target, 2048, from_device=from_device)
        assert wait_for(lambda: not device.copies, 1, PATIENCE)

    data = os.urandom(2048)
    with GuestMemory(SIZE) as memory:
        device.container.map(LOW, memory)
        memory.write(0, data)
        copy(LOW, BUFFER, from_device=False)
        copy(BUFFER, LOW + 2048, from_device=True)
        assert memory.read(2048, 2048) == data
        device.container.unmap(LOW, SIZE)
        copy(BUFFER, LOW + 4096, from_device=True)
        assert memory.read(4096, 2048) == bytes(2048)


def test_a_device_without_a_way_to_be_reset_says_so(device: Edu) -> None:
    assert not device.can_reset
    assert not device.reset()


def test_fifty_guests_in_a_row_each_second_one_cut_off(tiny: Tiny) -> None:
    """Cut off while the line is up and an interrupt is under way; the next one hears of its own."""
    for number in range(50):
        cut = number % 2 == 0
        with edu() as device, TinyVm("edu") as machine:
            words = arguments.edu(
                gic_version=machine.gic_version, intid=INTID, ends=10**6 if cut else 0
            )
            machine.set_registers(words)
            mapping = device.map(device.bar, range(device.bar.size))
            slot = machine.vm.add_memory(layout.EDU_GPA, mapping)
            connect_line(machine.vm, device, INTID)
            with machine.running(Acknowledged()):
                if cut:
                    assert wait_for(lambda: machine.report.taken(INTID), 3, PATIENCE)
                else:
                    assert has_done_all(machine), machine.report.failure
            assert cut or machine.report.taken(INTID) == 1
            slot.close()
            mapping.close()
