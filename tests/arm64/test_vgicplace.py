# SPDX-License-Identifier: Apache-2.0
"""Where a GIC lies and how much of it there is: what a guest finds there."""

from __future__ import annotations

import errno

import pytest
from guests import layout

from pykvm import VM, KvmError, Vgic, VgicV3
from tests.arm64.conftest import refused
from tests.arm64.gics import CPU_GPA, DIST_GPA, SGI_FRAME, Placed, each_gic, elsewhere, seen_at

GICD_TYPER, GICD_IIDR, GICC_IIDR, GICR_TYPER = 0x4, 0x8, 0xFC, 0x8
KVM_PRODUCT, IMPLEMENTER_ARM = 0x4B, 0x43B


def is_kvms(iidr: int) -> bool:
    return (iidr >> 24, iidr & 0xFFF) == (KVM_PRODUCT, IMPLEMENTER_ARM)


@each_gic("ADDR DIST")
def test_the_guest_finds_the_distributor_where_it_was_put(gic: int) -> None:
    with Placed("execute", elsewhere, gic=gic) as machine:
        assert machine.vgic is not None
        assert machine.vgic.dist_addr == DIST_GPA  # type: ignore[attr-defined]
        (iidr,) = seen_at(machine, DIST_GPA + GICD_IIDR)
        assert is_kvms(iidr)


@pytest.mark.needs("vgicv2")
@pytest.mark.covers("attr VGIC_V2 ADDR CPU")
def test_the_guest_finds_the_cpu_interface_where_it_was_put() -> None:
    with Placed("execute", elsewhere, gic=2) as machine:
        assert machine.vgic is not None
        assert machine.vgic.cpu_addr == CPU_GPA  # type: ignore[attr-defined]
        (pmr_reset,) = seen_at(machine, CPU_GPA + GICC_IIDR)
        assert pmr_reset & 0xFFF == IMPLEMENTER_ARM


@pytest.mark.needs("vgicv3")
@pytest.mark.covers("attr VGIC_V3 ADDR REDIST")
def test_the_guest_finds_the_redistributors_where_they_were_put() -> None:
    with Placed("execute", elsewhere, gic=3, cpus=2) as machine:
        assert isinstance(machine.vgic, VgicV3)
        assert machine.vgic.redist_addr == CPU_GPA
        assert machine.vgic.redist_regions == ((CPU_GPA, 0),)
        typers = [CPU_GPA + 2 * SGI_FRAME * cpu + GICR_TYPER for cpu in range(2)]
        first, second = seen_at(machine, *typers)
        assert (first >> 8 & 0xFFFF, second >> 8 & 0xFFFF) == (0, 1)


@pytest.mark.needs("vgicv3")
@pytest.mark.covers("attr VGIC_V3 ADDR REDIST_REGION")
def test_the_guest_finds_each_redistributor_in_its_region() -> None:
    regions = (CPU_GPA, 1), (0x1000_0000, 4)

    def place(vgic: Vgic) -> None:
        assert isinstance(vgic, VgicV3)
        vgic.dist_addr = DIST_GPA
        assert vgic.redist_regions == ()
        for index, (gpa, room) in enumerate(regions):
            vgic.add_redist_region(gpa, room, index=index)
        vgic.init()

    with Placed("execute", place, gic=3, cpus=2) as machine:
        assert isinstance(machine.vgic, VgicV3)
        assert machine.vgic.redist_regions == regions
        first, second = seen_at(machine, *(gpa + GICR_TYPER for gpa, _ in regions))
        assert (first >> 8 & 0xFFFF, second >> 8 & 0xFFFF) == (0, 1)


@each_gic("NR_IRQS")
def test_the_guest_finds_as_many_interrupts_as_were_asked_for(gic: int) -> None:
    def place(vgic: Vgic) -> None:
        vgic.nr_irqs = 96
        elsewhere(vgic)

    with Placed("execute", place, gic=gic) as machine:
        assert machine.vgic is not None
        assert machine.vgic.nr_irqs == 96
        (typer,) = seen_at(machine, DIST_GPA + GICD_TYPER)
        assert typer & 0x1F == 96 // 32 - 1
        machine.vm.irq_line(95, 1)
        with refused(errno.EINVAL, "KVM_IRQ_LINE"):
            machine.vm.irq_line(96, 1)


@each_gic("CTRL INIT")
def test_init_makes_the_gic_ready(vm: VM, gic: int) -> None:
    vm.create_vcpu(0)
    vgic = vm.create_vgic(gic)
    with pytest.raises(KvmError):
        vm.irqfd(intid=40)
    vgic.init()
    assert vgic.nr_irqs == 256
    vm.irqfd(intid=40).close()
    with refused(errno.EBUSY, "KVM_CREATE_VCPU"):
        vm.create_vcpu(1)


@pytest.mark.needs("vgicv3")
def test_frames_where_the_tiny_guests_expect_them(vm: VM) -> None:
    vgic = vm.create_vgic(3)
    assert isinstance(vgic, VgicV3)
    vgic.redist_addr = layout.GICR_GPA
    assert vgic.redist_regions == ((layout.GICR_GPA, 0),)
