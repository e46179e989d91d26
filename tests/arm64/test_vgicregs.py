# SPDX-License-Identifier: Apache-2.0
"""Registers of the GICs: what the host writes the guest sees, and the other way round."""

from __future__ import annotations

import errno

import pytest
from guests import arguments, layout, words
from tinyvm import TinyVm

from pykvm import KvmBusyError, VgicV2, VgicV3
from tests.arm64.conftest import refused
from tests.arm64.execute import executed, loaded, outcome
from tests.arm64.gics import GICR_SGI_GPA, each_gic
from tests.arm64.spis import INTID, Tiny, arrives, ready, started

GET, SET = "KVM_GET_DEVICE_ATTR", "KVM_SET_DEVICE_ATTR"
ICC_PMR, ICC_AP1R0, ICC_BPR1 = (3, 0, 4, 6, 0), (3, 0, 12, 9, 0), (3, 0, 12, 12, 3)
PRIORITIES = 0x1020_3040


@each_gic("DIST_REGS")
@pytest.mark.covers("device KVM_SET_DEVICE_ATTR", "device KVM_GET_DEVICE_ATTR")
def test_the_distributor_as_host_and_guest_see_it(tiny: Tiny, gic: int) -> None:
    gicd = layout.GICD_GPA
    machine = loaded(
        tiny,
        words.ldr_w(1, 0, 0x428), words.ldr_w(2, 0, 0xC08),  # IPRIORITYR10, ICFGR2
        words.str_w(3, 0, 0x104), words.str_w(4, 0, 0x42C),  # ISENABLER1, IPRIORITYR11
        x=(gicd, 0, 0, 1 << 8 | 1 << 20, 0xF0E0_D0C0), gic=gic,
    )  # fmt: skip
    vgic = machine.vgic
    assert vgic is not None
    vgic.set_dist_reg("GICD_IPRIORITYR10", PRIORITIES)
    vgic.set_dist_reg("gicd_icfgr2", 0xAAAA_AAA8)
    machine.run()
    assert outcome(machine).x[1:3] == (PRIORITIES, 0xAAAA_AAA8)
    assert vgic.get_dist_reg("GICD_ISENABLER1") == 1 << 8 | 1 << 20
    assert vgic.get_dist_reg(0x42C) == vgic.get_dist_reg("GICD_IPRIORITYR11") == 0xF0E0_D0C0
    assert (vgic.trigger_of(32), vgic.trigger_of(33)) == ("level", "edge")


@each_gic("DIST_REGS")
def test_a_pending_bit_that_the_host_sets_is_taken_once(tiny: Tiny, gic: int) -> None:
    machine = tiny("spi", gic=gic)
    machine.set_registers(arguments.spi(gic_version=gic, first_intid=INTID))
    vgic = machine.vgic
    assert vgic is not None
    with machine.running():
        ready(machine)
    vgic.set_dist_reg("GICD_ISPENDR1", 1 << INTID - 32)
    assert vgic.get_dist_reg("GICD_ISPENDR1") == 1 << INTID - 32
    with machine.running():
        assert arrives(machine, 1)
    assert vgic.get_dist_reg("GICD_ISPENDR1") == 0


@each_gic("DIST_REGS")
def test_one_that_the_host_disables_stays_pending(tiny: Tiny, gic: int) -> None:
    machine = tiny("spi", gic=gic)
    machine.set_registers(arguments.spi(gic_version=gic, first_intid=INTID, count=2))
    vgic = machine.vgic
    assert vgic is not None
    with machine.running():
        ready(machine)
    vgic.set_dist_reg("GICD_ICENABLER1", 1 << INTID - 32)
    machine.vm.irq_line(INTID, 1)
    machine.vm.irq_line(INTID + 1, 1)
    with machine.running():
        assert arrives(machine, 1, INTID + 1)
    assert machine.report.taken(INTID) == 0
    vgic.set_dist_reg("GICD_ISENABLER1", 1 << INTID - 32)
    with machine.running():
        assert arrives(machine, 1)


@pytest.mark.needs("vgicv2")
@pytest.mark.covers("attr VGIC_V2 CPU_REGS")
def test_the_cpu_interface_of_a_gicv2(tiny: Tiny) -> None:
    gicc = layout.GICC_GPA
    machine = loaded(
        tiny,
        words.ldr_w(1, 0, 0x04), words.ldr_w(2, 0, 0x08), words.str_w(3, 0, 0x04),
        x=(gicc, 0, 0, 0x50), gic=2,
    )  # fmt: skip
    vgic = machine.vgic
    assert isinstance(vgic, VgicV2)
    vgic.set_cpu_reg("GICC_PMR", 0xA8 >> 3)
    vgic.set_cpu_reg(0x08, 5)
    machine.run()
    assert outcome(machine).x[1:3] == (0xA8, 5)
    assert vgic.get_cpu_reg("GICC_PMR") == 0x50 >> 3
    with refused(errno.EINVAL, GET):
        vgic.get_cpu_reg("GICC_PMR", vcpu_id=1)


@pytest.mark.needs("vgicv2")
def test_a_gicv2_without_init_keeps_its_registers_to_itself(tiny: Tiny) -> None:
    machine = tiny("execute", gic=0)
    vgic = machine.vm.create_vgic(2)
    assert isinstance(vgic, VgicV2)
    for call in (
        lambda: vgic.get_dist_reg("GICD_CTLR"),
        lambda: vgic.set_dist_reg("GICD_CTLR", 1),
        lambda: vgic.get_cpu_reg("GICC_PMR"),
        lambda: vgic.set_cpu_reg("GICC_PMR", 1),
        vgic.save,
    ):
        with pytest.raises(KvmBusyError, match="allow_implicit_init"):
            call()


@pytest.mark.needs("vgicv3")
@pytest.mark.covers("attr VGIC_V3 REDIST_REGS")
def test_the_redistributor_as_host_and_guest_see_it(tiny: Tiny) -> None:
    machine = loaded(
        tiny,
        words.ldr_w(1, 0, 0x414), words.str_w(2, 0, 0x100),  # GICR_IPRIORITYR5, GICR_ISENABLER0
        x=(GICR_SGI_GPA, 0, 1 << 20), gic=3, cpus=2,
    )  # fmt: skip
    vgic = machine.vgic
    assert isinstance(vgic, VgicV3)
    vgic.set_redist_reg("GICR_IPRIORITYR5", PRIORITIES)
    machine.run()
    assert outcome(machine).x[1] == PRIORITIES
    enabled = vgic.get_redist_reg("GICR_ISENABLER0")
    assert enabled & 1 << 20
    assert vgic.get_redist_reg("GICR_ISENABLER0", vcpu_id=1) == enabled & ~(1 << 20)
    mpidr = machine.vcpus[1].get_one_reg("mpidr_el1")
    typer = vgic.get_redist_reg("GICR_TYPER", mpidr=mpidr)
    assert (typer >> 32, typer >> 8 & 0xFFFF) == (mpidr & 0xFF_FFFF, 1)
    assert vgic.get_redist_reg("GICR_TYPER", vcpu_id=1) == typer
    with refused(errno.EINVAL, GET):
        vgic.get_redist_reg("GICR_TYPER", vcpu_id=2)
    with pytest.raises(TypeError, match="only one"):
        vgic.get_redist_reg("GICR_TYPER", vcpu_id=0, mpidr=0)


@pytest.mark.needs("vgicv3")
@pytest.mark.covers("attr VGIC_V3 CPU_SYSREGS")
def test_the_cpu_interface_of_a_gicv3(tiny: Tiny) -> None:
    machine = loaded(
        tiny,
        words.mrs(0, ICC_PMR), words.mrs(1, ICC_AP1R0), words.msr(ICC_PMR, 2),
        x=(0, 0, 0x50), gic=3,
    )  # fmt: skip
    vgic = machine.vgic
    assert isinstance(vgic, VgicV3)
    vgic.set_cpu_sysreg("ICC_PMR_EL1", 0xA8)
    vgic.set_cpu_sysreg("ICC_AP1R0_EL1", 1 << 16)
    machine.run()
    assert outcome(machine).x[:2] == (0xA8, 1 << 16)
    assert vgic.get_cpu_sysreg("ICC_PMR_EL1") == 0x50
    assert vgic.get_cpu_sysreg("ICC_AP1R0_EL1", mpidr=0) == 1 << 16
    with refused(errno.EINVAL, SET):
        vgic.set_cpu_sysreg("ICC_SRE_EL1", 0)
    with refused(errno.ENOENT, GET):
        vgic.get_cpu_sysreg(0xFFFF)
    with refused(errno.ENOENT, GET):
        vgic.get_cpu_sysreg("ICH_HCR_EL2")  # this vCPU has no EL2


@pytest.mark.needs("vgicv3")
def test_a_mask_that_the_host_sets_keeps_interrupts_out(tiny: Tiny) -> None:
    machine = started(tiny, count=2)
    vgic = machine.vgic
    assert isinstance(vgic, VgicV3)
    with machine.running():
        ready(machine)
    mask = vgic.get_cpu_sysreg("ICC_PMR_EL1")
    vgic.set_cpu_sysreg("ICC_PMR_EL1", 0x80)
    before = vgic.get_dist_reg("GICD_IPRIORITYR10")
    vgic.set_dist_reg("GICD_IPRIORITYR10", before & ~0xFF00 | 0x4000)  # INTID 41 is above 40
    for intid in (INTID, INTID + 1):
        machine.vm.irq_line(intid, 1)
    with machine.running():
        assert arrives(machine, 1, INTID + 1)
    assert machine.report.taken(INTID) == 0
    vgic.set_cpu_sysreg("ICC_PMR_EL1", mask)
    with machine.running():
        assert arrives(machine, 1)


def _level_machine(tiny: Tiny) -> tuple[TinyVm, VgicV3]:
    machine = started(tiny, trigger="level", ack_device=True)
    assert isinstance(machine.vgic, VgicV3)
    with machine.running():
        ready(machine)
    return machine, machine.vgic


@pytest.mark.needs("vgicv3")
@pytest.mark.covers("attr VGIC_V3 LEVEL_INFO")
def test_lines_are_told_and_driven(tiny: Tiny) -> None:
    machine, vgic = _level_machine(tiny)
    assert vgic.get_level_info(32) == 0
    machine.vm.irq_line(INTID, 1)
    machine.vm.irq_line(INTID + 1, 1)  # an edge, which has no level
    machine.vm.irq_line(20, 1, vcpu_id=0)
    assert vgic.get_level_info(32) == 1 << INTID - 32
    assert vgic.get_level_info(0) == 1 << 20
    vgic.set_level_info(32, 0)
    assert vgic.get_level_info(32, mpidr=0) == 0

    def lower(_: object) -> None:
        machine.vm.irq_line(INTID, 0)

    vgic.set_level_info(32, 1 << INTID - 32)
    with machine.running(lower):
        assert arrives(machine, 1)
    assert vgic.get_level_info(32) == 0
    with refused(errno.EINVAL, GET):
        vgic.get_level_info(33)
    with refused(errno.EINVAL, SET):
        vgic.set_level_info(0, 0, vcpu_id=1)


@pytest.mark.needs("vgicv3")
def test_the_latch_is_told_apart_from_the_line(tiny: Tiny) -> None:
    machine, vgic = _level_machine(tiny)
    machine.vm.irq_line(INTID, 1)
    assert vgic.get_dist_reg("GICD_ISPENDR1") == 0
    vgic.set_dist_reg("GICD_ISPENDR1", 1 << INTID - 32)
    machine.vm.irq_line(INTID, 0)
    assert vgic.get_dist_reg("GICD_ISPENDR1") == 1 << INTID - 32
    vgic.set_dist_reg("GICD_ICPENDR1", 2**32 - 1)  # ignored: the other register has it all
    assert vgic.get_dist_reg("GICD_ISPENDR1") == 1 << INTID - 32
    vgic.set_dist_reg("GICD_ISPENDR1", 0)
    assert vgic.get_dist_reg("GICD_ISPENDR1") == 0


@pytest.mark.needs("vgicv3")
def test_a_route_has_64_bits(tiny: Tiny) -> None:
    machine = loaded(tiny, words.ldr(1, 0, 0x6140), x=(layout.GICD_GPA,), gic=3, cpus=2)
    vgic = machine.vgic
    assert vgic is not None
    vgic.set_dist_reg("GICD_IROUTER40", 1)
    machine.run()
    assert outcome(machine).x[1] == 1
    assert vgic.get_dist_reg("GICD_IROUTER40") == 1
    with pytest.raises(ValueError, match="value"):
        vgic.set_dist_reg("GICD_IROUTER40", 1 << 64)
    with pytest.raises(ValueError, match="value"):
        vgic.set_dist_reg("GICD_CTLR", 1 << 32)


@each_gic()
def test_registers_are_for_stopped_vcpus(tiny: Tiny, gic: int) -> None:
    machine = tiny("spin", gic=gic)
    machine.set_registers(arguments.spin())
    vgic = machine.vgic
    assert vgic is not None
    with machine.running():
        while not machine.report.count:
            pass
        with pytest.raises(KvmBusyError, match=r"reg='GICD_CTLR'.*inside a call") as caught:
            vgic.get_dist_reg("GICD_CTLR")
        assert caught.value.ioctl == GET
        with refused(errno.EBUSY, SET):
            vgic.set_dist_reg("GICD_CTLR", 0)
    assert vgic.get_dist_reg("GICD_CTLR") & 3 == 0


@each_gic()
@pytest.mark.covers("device KVM_HAS_DEVICE_ATTR")
def test_which_registers_there_are(tiny: Tiny, gic: int) -> None:
    vgic = executed_gic(tiny, gic)
    assert vgic.has_device_attr(1, 0x104)
    assert not vgic.has_device_attr(1, 0x102)
    assert not vgic.has_device_attr(1, 0x50)
    assert vgic.get_dist_reg(0x50) == 0, "what is not there reads as 0"


def executed_gic(tiny: Tiny, gic: int) -> VgicV2 | VgicV3:
    machine = tiny("execute", gic=gic)
    assert isinstance(machine.vgic, VgicV2 | VgicV3)
    return machine.vgic


@pytest.mark.needs("vgicv3")
def test_a_gicv3_before_its_init_has_no_registers(tiny: Tiny) -> None:
    machine = tiny("execute", gic=0)
    vgic = machine.vm.create_vgic(3)
    assert isinstance(vgic, VgicV3)
    with refused(errno.EBUSY, GET):
        vgic.get_dist_reg("GICD_CTLR")
    with refused(errno.EBUSY, GET):
        vgic.get_redist_reg("GICR_CTLR")


@each_gic()
def test_the_revision_can_be_chosen(tiny: Tiny, gic: int) -> None:
    vgic = executed_gic(tiny, gic)
    iidr = vgic.get_dist_reg("GICD_IIDR")
    vgic.set_dist_reg("GICD_IIDR", iidr & ~0xF000 | 0x2000)
    assert vgic.get_dist_reg("GICD_IIDR") >> 12 & 0xF == 2
    vgic.set_dist_reg("GICD_IIDR", iidr)
    assert vgic.get_dist_reg("GICD_IIDR") == iidr
    with refused(errno.EINVAL, SET):
        vgic.set_dist_reg("GICD_IIDR", iidr ^ 1)


def test_a_guest_reads_zero_where_nothing_was_written(tiny: Tiny) -> None:
    there = executed(tiny, words.ldr_w(1, 0, 0x428), x=(layout.GICD_GPA,), gic=None)
    assert there.x[1] == 0
