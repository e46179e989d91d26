# SPDX-License-Identifier: Apache-2.0
"""A GICv2 made without a device, and the calls that came with it."""

from __future__ import annotations

import errno

import pytest
from guests import arguments, layout, words
from tinyvm import TinyVm

from pykvm import VM, ArmDeviceAddr, Cap, DeviceType, SpiRoute, Vcpu, Vgic
from tests.arm64.conftest import refused
from tests.arm64.execute import loaded, outcome
from tests.arm64.spis import INTID, Tiny, arrives, ready, started

UNSET = 2**64 - 1


@pytest.fixture
def machine(tiny: Tiny) -> TinyVm:
    """A machine whose guest takes two SPIs, from a GICv2 that nothing initialised yet."""
    machine = tiny("spi", gic=0)
    machine.vm.create_irqchip()
    machine.vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_DIST, layout.GICD_GPA)
    machine.vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_CPU, layout.GICC_GPA)
    machine.set_registers(arguments.spi(gic_version=2, first_intid=INTID, count=2))
    return machine


@pytest.mark.needs("vgicv2")
@pytest.mark.covers(
    "vm KVM_CREATE_IRQCHIP", "vm KVM_ARM_SET_DEVICE_ADDR", "cap ARM_SET_DEVICE_ADDR"
)
def test_the_kernel_initialises_it_at_the_first_run(machine: TinyVm) -> None:
    assert machine.vm.check_extension(Cap.ARM_SET_DEVICE_ADDR) == 1
    with refused(errno.EAGAIN, "KVM_IRQFD"):
        machine.vm.irqfd(intid=INTID)
    with machine.running():
        ready(machine)
        machine.vm.irq_line(INTID, 1)
        assert arrives(machine, 1)
        with machine.vm.irqfd(intid=INTID + 1) as irqfd:
            irqfd.inject()
            assert arrives(machine, 1, INTID + 1)


@pytest.mark.needs("vgicv2")
def test_or_at_the_first_irq_line_and_routes_anew(machine: TinyVm) -> None:
    machine.vm.set_gsi_routing([SpiRoute(INTID - 32, INTID + 1)])  # too early: it will be lost
    machine.vm.irq_line(32, 0)
    irqfd = machine.vm.irqfd(gsi=INTID - 32)
    with refused(errno.EBUSY, "KVM_CREATE_VCPU"):
        machine.vm.create_vcpu(1)
    with machine.running():
        ready(machine)
        irqfd.inject()
        assert arrives(machine, 1)
        machine.vm.set_gsi_routing([SpiRoute(INTID - 32, INTID + 1)])
        irqfd.inject()
        assert arrives(machine, 1, INTID + 1)
        assert arrives(machine, 1)


@pytest.mark.needs("vgicv2")
def test_its_routing_counts_as_unknown(machine: TinyVm) -> None:
    machine.vm.irq_line(32, 0)
    machine.vm.irqfd(gsi=900)
    machine.vm.set_gsi_routing([SpiRoute(0, 40)])
    machine.vm.irqfd(intid=900)


@pytest.mark.needs("vgicv2")
def test_only_one_gic_however_it_is_made(vm: VM, vcpu: Vcpu) -> None:
    vm.create_irqchip()
    with refused(errno.EEXIST, "KVM_CREATE_IRQCHIP"):
        vm.create_irqchip()
    with refused(errno.EEXIST, "KVM_CREATE_DEVICE"):
        vm.create_vgic(2)


@pytest.mark.needs("vgicv2")
def test_addresses_are_those_of_the_device(vm: VM, vcpu: Vcpu) -> None:
    vgic = vm.create_vgic(2)
    assert (vgic.dist_addr, vgic.cpu_addr) == (UNSET, UNSET)  # type: ignore[attr-defined]
    with refused(errno.EINVAL, "KVM_ARM_SET_DEVICE_ADDR"):
        vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_DIST, layout.GICD_GPA + 0x100)
    with refused(errno.E2BIG, "KVM_ARM_SET_DEVICE_ADDR"):
        vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_DIST, 1 << 48)
    for unknown in (2, 1 << 16):
        with refused(errno.ENODEV, "KVM_ARM_SET_DEVICE_ADDR"):
            vm.arm_set_device_addr(unknown, layout.GICD_GPA)
    vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_DIST, layout.GICD_GPA)
    vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_CPU, layout.GICC_GPA)
    assert vgic.dist_addr == layout.GICD_GPA  # type: ignore[attr-defined]
    assert vgic.cpu_addr == layout.GICC_GPA  # type: ignore[attr-defined]
    with refused(errno.EEXIST, "KVM_ARM_SET_DEVICE_ADDR"):
        vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_CPU, layout.GICC_GPA)


def test_a_host_without_gicv2_refuses_both(vm: VM) -> None:
    if vm.has_device(DeviceType.ARM_VGIC_V2):
        vm.create_irqchip()
        return
    with refused(errno.ENODEV, "KVM_CREATE_IRQCHIP"):
        vm.create_irqchip()
    with refused(errno.ENODEV, "KVM_ARM_SET_DEVICE_ADDR"):
        vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_DIST, layout.GICD_GPA)
    assert vm.create_vgic(3).version == 3, "what was refused left nothing"


@pytest.mark.covers("vm KVM_IRQ_LINE", "vm KVM_IRQ_LINE_STATUS", "cap IRQCHIP")
def test_both_calls_drive_the_same_line(tiny: Tiny) -> None:
    machine = started(tiny)
    vm = machine.vm
    assert vm.check_extension(Cap.IRQCHIP) == 1
    with machine.running():
        ready(machine)
        for number, drive in enumerate([vm.irq_line, vm.irq_line_status] * 2, start=1):
            drive(INTID, 1)
            assert arrives(machine, number)
            drive(INTID, 0)


def test_a_status_that_cannot_be(vm: VM, vcpu: Vcpu) -> None:
    with refused(errno.ENXIO, "KVM_IRQ_LINE_STATUS"):
        vm.irq_line_status(INTID, 1)
    vgic: Vgic = vm.create_vgic()
    with refused(errno.EBUSY, "KVM_IRQ_LINE_STATUS"):  # a GICv2's by pykvm, a GICv3's by KVM
        vm.irq_line_status(INTID, 1)
    vgic.init()
    with refused(errno.EINVAL, "KVM_IRQ_LINE_STATUS"):
        vm.irq_line_status(1000, 1)


@pytest.mark.parametrize(("fiq", "unmasked"), [(False, 2), (True, 1)])
def test_a_vcpus_own_inputs(tiny: Tiny, fiq: bool, unmasked: int) -> None:
    """Without a GIC in the kernel: what is up is taken as soon as the guest lets it."""
    machine = loaded(tiny, words.unmask(unmasked), words.NOP)
    machine.vm.cpu_line(0, 1, fiq=not fiq)
    machine.vm.cpu_line(0, 1, fiq=fiq)
    machine.vm.cpu_line(0, 0, fiq=not fiq)
    machine.run()
    assert outcome(machine).interrupts == 1, machine.report.failure


def test_inputs_that_are_down_or_a_gics(tiny: Tiny, vm: VM, vcpu: Vcpu) -> None:
    machine = loaded(tiny, words.unmask(3), words.NOP)
    machine.vm.cpu_line(0, 1)
    machine.vm.cpu_line(0, 0)
    machine.run()
    assert outcome(machine).interrupts == 0
    with refused(errno.EINVAL, "KVM_IRQ_LINE"):
        vm.cpu_line(5, 1)
    vm.create_vgic()
    with refused(errno.ENXIO, "KVM_IRQ_LINE"):
        vm.cpu_line(0, 1)
