# SPDX-License-Identifier: Apache-2.0
"""MSIs: messages that an ITS turns into LPIs, sent by KVM_SIGNAL_MSI and by irqfds."""

from __future__ import annotations

import errno

import pytest
from guests import arguments, layout
from tally import wait_for
from tinyvm import TinyVm

from pykvm import VM, Cap, MsiRoute, SpiRoute, Vgic
from tests.arm64.conftest import PATIENCE, refused
from tests.arm64.spis import Tiny, ready

DEVICE = 8
DOORBELL = layout.ITS_TRANSLATER_GPA

needs_its = pytest.mark.needs("its")


@pytest.fixture
def machine(tiny: Tiny) -> TinyVm:
    """A machine whose guest takes the LPIs of four events."""
    machine = tiny("lpi", its=True)
    machine.set_registers(arguments.lpi(device_id=DEVICE, events=4))
    return machine


def arrives(machine: TinyVm, taken: int, event: int = 0) -> bool:
    """Whether the guest has ended this LPI for the ``taken``-th time, and no more were begun."""
    report = machine.report
    came = wait_for(lambda: report.lpi_ended(event), taken, PATIENCE)
    return came and report.lpi_taken(event) == taken and not report.spurious


@needs_its
@pytest.mark.covers("vm KVM_SIGNAL_MSI", "cap SIGNAL_MSI")
def test_each_message_is_one_interrupt(machine: TinyVm) -> None:
    assert machine.vm.check_extension(Cap.SIGNAL_MSI) == 1
    assert machine.its is not None
    assert machine.its.doorbell == DOORBELL
    with machine.running():
        ready(machine)
        for number in range(1, 201):
            assert machine.vm.signal_msi(machine.its.doorbell, 0, devid=DEVICE)
            assert arrives(machine, number)
        for event in (1, 2, 3):
            assert machine.vm.signal_msi(machine.its.doorbell, event, devid=DEVICE)
            assert arrives(machine, 1, event)


@needs_its
def test_by_irqfd(machine: TinyVm) -> None:
    routes = [MsiRoute(100 + event, DOORBELL, event, DEVICE) for event in range(4)]
    machine.vm.set_gsi_routing([*routes, SpiRoute(8, 40)])
    irqfds = [machine.vm.irqfd(gsi=route.gsi) for route in routes]
    with machine.running():
        ready(machine)
        for number in range(1, 201):
            irqfds[0].inject()
            assert arrives(machine, number)
        for event, irqfd in enumerate(irqfds[1:], start=1):
            irqfd.inject()
            assert arrives(machine, 1, event)


@needs_its
def test_what_the_guest_has_not_mapped(machine: TinyVm) -> None:
    with machine.running():
        ready(machine)
        assert not machine.vm.signal_msi(DOORBELL, 4, devid=DEVICE)
        assert not machine.vm.signal_msi(DOORBELL, 0, devid=DEVICE + 1)
        assert machine.vm.signal_msi(DOORBELL, 0, devid=DEVICE)
        assert arrives(machine, 1)


@needs_its
def test_messages_that_the_kernel_refuses(machine: TinyVm) -> None:
    vm = machine.vm
    assert vm.check_extension(Cap.MSI_DEVID)
    with refused(errno.EBUSY, "KVM_SIGNAL_MSI"):  # the guest has not run: the ITS is off
        vm.signal_msi(DOORBELL, 0, devid=DEVICE)
    with machine.running():
        ready(machine)
        with refused(errno.EINVAL, "KVM_SIGNAL_MSI"):
            vm.signal_msi(DOORBELL, 0)
        with refused(errno.EINVAL, "KVM_SIGNAL_MSI"):
            vm.signal_msi(layout.MMIO_GPA, 0, devid=DEVICE)
        # Anywhere in the ITS's frame will do: KVM looks no closer.
        assert vm.signal_msi(layout.ITS_GPA, 0, devid=DEVICE)
        assert arrives(machine, 1)


@needs_its
def test_an_msi_has_no_level(machine: TinyVm) -> None:
    machine.vm.set_gsi_routing([MsiRoute(100, DOORBELL, 0, DEVICE)])
    with pytest.raises(ValueError, match="gsi 100 leads to an MSI, which has no level"):
        machine.vm.irqfd(gsi=100, resample=True)
    irqfd = machine.vm.irqfd(gsi=100, resample=True, allow_unrouted=True)
    assert irqfd.resample is not None
    with machine.running():
        ready(machine)
        irqfd.inject()
        assert arrives(machine, 1)
    assert irqfd.resample.read() == 0


def test_without_an_its(vm: VM, vgic: Vgic) -> None:
    assert not vm.check_extension(Cap.MSI_DEVID)
    vgic.init()
    with refused(errno.ENODEV, "KVM_SIGNAL_MSI"):
        vm.signal_msi(DOORBELL, 0, devid=DEVICE)


def test_without_a_gic(vm: VM) -> None:
    with refused(errno.EINVAL, "KVM_SIGNAL_MSI"):
        vm.signal_msi(DOORBELL, 0, devid=DEVICE)


@pytest.mark.needs("vgicv3")
def test_the_its_frame(vm: VM, vgic: Vgic) -> None:
    with vm.create_its() as its, vm.create_its() as second:
        assert its.addr == 2**64 - 1
        with refused(errno.EINVAL, "KVM_SET_DEVICE_ATTR"):
            its.addr = 0x8080001
        its.addr = 0x8080000
        assert (its.addr, its.doorbell) == (0x8080000, 0x8090040)
        with refused(errno.EEXIST, "KVM_SET_DEVICE_ATTR"):
            its.addr = 0x8080000
        second.addr = 0x9000000
        for each in its, second:
            each.init()


@pytest.mark.needs("vgicv3")
def test_an_its_without_its_address(vm: VM, vgic: Vgic) -> None:
    with vm.create_its() as its:
        its.init()  # the kernel does not mind
        with pytest.raises(ValueError, match="addr"):
            _ = its.doorbell
