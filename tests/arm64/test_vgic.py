# SPDX-License-Identifier: Apache-2.0
"""The virtual GIC: attributes, order, and what the kernel says to the wrong one."""

from __future__ import annotations

import errno

import pytest
from guests import arguments, layout
from tinyvm import TinyVm, vgic_frames

from pykvm import (
    VM,
    Cap,
    DeviceType,
    KvmBusyError,
    KvmExistsError,
    Vcpu,
    VcpuFeature,
    Vgic,
    VgicV2,
    VgicV3,
)
from tests.arm64.conftest import refused
from tests.arm64.spis import INTID, arrives, ready

UNSET = 2**64 - 1
SET = "KVM_SET_DEVICE_ATTR"
GRP_MAINT_IRQ = 9


def test_the_host_has_exactly_the_gics_that_it_says(vm: VM) -> None:
    kinds = {2: DeviceType.ARM_VGIC_V2, 3: DeviceType.ARM_VGIC_V3}
    available = [version for version, kind in kinds.items() if vm.has_device(kind)]
    assert available, "a host with KVM but without any GIC"
    vgic = vm.create_vgic()
    assert vgic.version == max(available)
    assert isinstance(vgic, VgicV3 if vgic.version == 3 else VgicV2)


@pytest.mark.parametrize("version", [2, 3])
def test_a_gic_that_the_host_lacks_is_refused_with_the_reason(vm: VM, version: int) -> None:
    kind = DeviceType.ARM_VGIC_V2 if version == 2 else DeviceType.ARM_VGIC_V3
    if vm.has_device(kind):
        assert vm.create_vgic(version).version == version
        return
    with refused(errno.ENODEV, "KVM_CREATE_DEVICE"):
        vm.create_vgic(version)


def test_one_gic_per_vm(vgic: Vgic, vm: VM) -> None:
    with refused(errno.EEXIST, "KVM_CREATE_DEVICE"):
        vm.create_vgic(vgic.version)


def test_create_device_makes_the_same_object(vm: VM) -> None:
    kind = next(
        kind for kind in (DeviceType.ARM_VGIC_V3, DeviceType.ARM_VGIC_V2) if vm.has_device(kind)
    )
    assert isinstance(vm.create_device(kind), Vgic)


def test_nr_irqs(vgic: Vgic) -> None:
    assert vgic.nr_irqs == 32
    for count in (0, 63, 65, 1008, 1024):
        with refused(errno.EINVAL, SET):
            vgic.nr_irqs = count
    vgic.nr_irqs = 992
    assert vgic.nr_irqs == 992
    with refused(errno.EBUSY, SET):
        vgic.nr_irqs = 64


def test_init_makes_256_interrupts_and_is_harmless_twice(vgic: Vgic) -> None:
    vgic_frames(vgic)
    vgic.init()
    assert vgic.nr_irqs == 256
    vgic.init()
    with refused(errno.EBUSY, SET):
        vgic.nr_irqs = 64


def test_addresses(vgic: Vgic) -> None:
    names = ("dist_addr", "cpu_addr" if vgic.version == 2 else "redist_addr")
    frames = (layout.GICD_GPA, layout.GICC_GPA if vgic.version == 2 else layout.GICR_GPA)
    for name, gpa in zip(names, frames, strict=True):
        assert getattr(vgic, name) == UNSET
        with refused(errno.EINVAL, SET):
            setattr(vgic, name, gpa + 0x100)
        with refused(errno.E2BIG, SET):
            setattr(vgic, name, 1 << 48)
        setattr(vgic, name, gpa)
        assert getattr(vgic, name) == gpa
        with pytest.raises(KvmExistsError):
            setattr(vgic, name, gpa + 0x100_0000)


@pytest.mark.needs("vgicv3")
def test_redistributor_regions(vm: VM) -> None:
    for number in range(3):
        vm.create_vcpu(number).arm_vcpu_init([VcpuFeature.PSCI_0_2])
    vgic = vm.create_vgic(3)
    assert isinstance(vgic, VgicV3)
    vgic.add_redist_region(0x0900_0000, 2, index=0)
    with refused(errno.EINVAL, SET):
        vgic.add_redist_region(0x0A00_0000, 2, index=2)
    with refused(errno.EINVAL, SET):
        vgic.add_redist_region(0x0902_0000, 2, index=1)
    vgic.add_redist_region(0x0A00_0000, 1, index=1)
    with refused(errno.EINVAL, SET):
        vgic.redist_addr = 0x0B00_0000
    with pytest.raises(ValueError, match="64 KiB"):
        vgic.add_redist_region(0x0B00_1000, 1, index=2)


def test_no_vcpu_after_init(vgic: Vgic, vm: VM) -> None:
    vgic_frames(vgic)
    vgic.init()
    with refused(errno.EBUSY, "KVM_CREATE_VCPU"):
        vm.create_vcpu(1)


@pytest.mark.needs("vgicv3")
def test_a_gicv3_without_init_kills_the_vm(vm: VM, vcpu: Vcpu) -> None:
    vgic = vm.create_vgic(3)
    vgic_frames(vgic)
    with refused(errno.EBUSY, "KVM_IRQ_LINE"):
        vm.irq_line(40, 1)
    with refused(errno.EBUSY, "KVM_RUN"):
        vcpu.run()
    with refused(errno.EIO, "KVM_RUN"):
        vcpu.run()


def test_a_gic_without_addresses_kills_the_vm(vgic: Vgic, vcpu: Vcpu) -> None:
    vgic.init()
    with refused(errno.ENXIO, "KVM_RUN"):
        vcpu.run()
    with refused(errno.EIO, "KVM_RUN"):
        vcpu.run()


@pytest.mark.needs("vgicv2")
def test_a_gicv2_is_not_initialised_in_silence(vm: VM, vcpu: Vcpu) -> None:
    vgic = vm.create_vgic(2)
    vgic_frames(vgic)
    for call in (vcpu.run, lambda: vm.irq_line(40, 1)):
        with pytest.raises(KvmBusyError, match="allow_implicit_init"):
            call()
    # It was refused before the kernel saw it: what init() forbids is still possible.
    vgic.nr_irqs = 64
    vgic.init()
    vm.irq_line(40, 1)


@pytest.mark.needs("vgicv2")
def test_unless_one_asks_for_that(vm: VM, vcpu: Vcpu) -> None:
    vgic = vm.create_vgic(2, allow_implicit_init=True)
    vgic_frames(vgic)
    vm.irq_line(40, 1)
    assert vgic.nr_irqs == 256
    vm.irqfd(intid=900)  # the routing is unknown now, so nothing is refused


def test_max_vcpus_follows_the_gic(vm: VM, vgic: Vgic) -> None:
    expected = {2: range(8, 9), 3: range(9, 1025)}[vgic.version]
    assert vm.check_extension(Cap.MAX_VCPUS) in expected


@pytest.mark.covers("device KVM_HAS_DEVICE_ATTR")
def test_attributes_that_no_gic_has(vgic: Vgic) -> None:
    assert not vgic.has_device_attr(99, 0)
    with refused(errno.ENXIO, SET):
        vgic.set_device_attr(99, 0, bytes(8))
    with refused(errno.ENXIO, "KVM_GET_DEVICE_ATTR"):
        vgic.get_device_attr(99, 0, bytes(8))
    assert vgic.has_device_attr(0, 0 if vgic.version == 2 else 2)


def test_a_closed_gic_stays_in_its_vm(vm: VM, vgic: Vgic) -> None:
    vgic_frames(vgic)
    vgic.init()
    vgic.close()
    vm.irq_line(40, 1)
    with pytest.raises(ValueError, match="closed"):
        _ = vgic.nr_irqs


@pytest.mark.needs("vgicv3")
@pytest.mark.covers("attr VGIC_V3 MAINT_IRQ")
def test_the_maintenance_interrupt(vgic: Vgic) -> None:
    assert isinstance(vgic, VgicV3)
    if not vgic.has_device_attr(GRP_MAINT_IRQ, 0):
        with refused(errno.ENXIO, SET):
            vgic.maint_irq = 26
        with refused(errno.ENXIO, "KVM_GET_DEVICE_ATTR"):
            _ = vgic.maint_irq
        return
    assert vgic.maint_irq == 0
    for wrong in (15, 32, 2**32 - 1):
        with refused(errno.EINVAL, SET):
            vgic.maint_irq = wrong
    vgic.maint_irq = 26
    assert vgic.maint_irq == 26
    vgic.init()
    with refused(errno.EBUSY, SET):
        vgic.maint_irq = 27


class InRegions(TinyVm):
    """Its redistributors lie in two regions, of which the first serves the first vCPU."""

    def _make_gic(self, version: int | None) -> Vgic | None:
        vgic = self.vm.create_vgic(3)
        assert isinstance(vgic, VgicV3)
        vgic.dist_addr = layout.GICD_GPA
        vgic.add_redist_region(layout.GICR_GPA, 1, index=0)
        vgic.add_redist_region(0x1000_0000, 4, index=1)
        vgic.init()
        return vgic


@pytest.mark.needs("vgicv3")
def test_a_guest_finds_its_redistributor_in_a_region() -> None:
    with InRegions("spi", cpus=2) as machine:
        machine.set_registers(arguments.spi(gic_version=3, first_intid=INTID))
        irqfd = machine.vm.irqfd(intid=INTID)
        with machine.running():
            ready(machine)
            irqfd.inject()
            assert arrives(machine, 1)
