# SPDX-License-Identifier: Apache-2.0
"""Registers that the host writes are the guest's, and what the guest writes the host reads."""

from __future__ import annotations

import pytest
from guests import layout, words

from pykvm import VM, Cap, RegFamily, Vcpu, VcpuFeature, reg_family
from tests.arm64 import bare
from tests.arm64.execute import CODE_GPA, finished, loaded
from tests.arm64.spis import Tiny

CPACR_EL1 = (3, 0, 1, 0, 2)
CSSELR_EL1 = (3, 2, 0, 0, 0)
CCSIDR_EL1 = (3, 1, 0, 0, 0)
SP_EL0 = (3, 0, 4, 1, 0)
ELR_EL1 = (3, 0, 4, 0, 1)
SPSR_EL1 = (3, 0, 4, 0, 0)
FPCR = (3, 3, 4, 4, 0)
FPSR = (3, 3, 4, 4, 1)
TPIDR_EL0 = (3, 3, 13, 0, 2)
TPIDRRO_EL0 = (3, 3, 13, 0, 3)
CONTEXTIDR_EL1 = (3, 0, 13, 0, 1)
CNTV_CVAL_EL0 = (3, 3, 14, 3, 2)
TPIDR_EL2 = (3, 4, 13, 0, 2)

#: CPACR_EL1: the guest may use vectors.
FP_ON = 3 << 20
#: Where the instructions store what does not fit into a register.
STORE_GPA = CODE_GPA + 0x1000

PSCI_VERSION = 0x8400_0000
TRNG_VERSION = 0x8400_0050
KVM_FEATURES = 0x8600_0000
NOT_SUPPORTED = 2**64 - 1


@pytest.mark.covers("reg CORE", "vcpu KVM_SET_ONE_REG", "cap ONE_REG")
def test_core_registers_that_the_host_writes_are_seen(tiny: Tiny) -> None:
    machine = loaded(
        tiny,
        words.msr(CPACR_EL1, 4), words.ISB, words.str_q(7, 5),
        words.mrs(0, SP_EL0), words.mrs(1, ELR_EL1), words.mrs(2, SPSR_EL1),
        words.mrs(3, FPSR), words.mrs(4, FPCR),
        x=(0, 0, 0, 0, FP_ON, STORE_GPA),
    )  # fmt: skip
    vcpu = machine.vcpus[0]
    assert vcpu.get_one_reg("x6") == FP_ON, "the guest passes it on to the instructions as x4"
    assert machine.kvm.check_extension(Cap.ONE_REG) == 1
    values = {"sp": 0x1234_5670, "elr_el1": 0xABCD, "spsr_el1": 0x3C5, "fpsr": 0x9F}
    vector = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210
    for name, value in {**values, "fpcr": 0x0100_0000, "v7": vector}.items():
        vcpu.set_one_reg(name, value)
    assert finished(machine).x[:5] == (*values.values(), 0x0100_0000)
    stored = machine.memory.read(STORE_GPA - layout.RAM_GPA, 16)
    assert int.from_bytes(stored, "little") == vector


@pytest.mark.covers("vcpu KVM_GET_ONE_REG", "reg SYSREG")
def test_what_the_guest_writes_the_host_reads(tiny: Tiny) -> None:
    machine = loaded(
        tiny, words.msr(SP_EL0, 0), words.msr(TPIDR_EL0, 1), words.msr(CNTV_CVAL_EL0, 2),
        x=(0x1230, 0x4560, 0x7890),
    )  # fmt: skip
    finished(machine)
    names = ("sp", "tpidr_el0", "cntv_cval_el0", "x19")
    assert [machine.vcpus[0].get_one_reg(name) for name in names] == [
        0x1230, 0x4560, 0x7890, layout.REPORT_GPA,
    ]  # fmt: skip


@pytest.mark.covers("reg SYSREG")
def test_system_registers_that_the_host_writes_are_seen(tiny: Tiny) -> None:
    machine = loaded(
        tiny, words.mrs(0, TPIDR_EL0), words.mrs(1, TPIDRRO_EL0), words.mrs(2, CONTEXTIDR_EL1),
        words.mrs(3, CNTV_CVAL_EL0),
    )  # fmt: skip
    values = {"TPIDR_EL0": 0x111, "S3_3_C13_C0_3": 0x222, "contextidr_el1": 0x333}
    for name, value in {**values, "CNTV_CVAL_EL0": 0x444}.items():
        machine.vcpus[0].set_one_reg(name, value)
    assert finished(machine).x[:4] == (0x111, 0x222, 0x333, 0x444)


@pytest.mark.needs("el2")
@pytest.mark.covers("reg SYSREG")
def test_registers_of_el2_go_both_ways(vm: VM) -> None:
    bare.put(vm, words.mrs(1, TPIDR_EL2), words.msr(TPIDR_EL2, 2), words.str_(1, 0))
    with vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init([VcpuFeature.HAS_EL2])
        bare.add_gic(vm)
        bare.start(vcpu, tpidr_el2=0x5678, x2=0x9ABC)
        assert bare.stored(vcpu) == 0x5678
        assert vcpu.get_one_reg("tpidr_el2") == 0x9ABC
        vcpu.set_one_reg("vbar_el2", 0x4000_0800)
        assert vcpu.get_one_reg("VBAR_EL2") == 0x4000_0800


@pytest.mark.covers("reg DEMUX")
def test_caches_are_described_as_the_guest_sees_them(tiny: Tiny) -> None:
    machine = loaded(tiny, *cache_geometry())
    vcpu = machine.vcpus[0]
    listed = {number for number in vcpu.get_reg_list() if reg_family(number) is RegFamily.DEMUX}
    assert len(listed) >= 3
    told = vcpu.get_one_reg("ccsidr0")
    assert told
    assert finished(machine).x[0] == told


@pytest.mark.needs("own_caches")
@pytest.mark.covers("reg DEMUX")
def test_a_cache_that_the_host_describes_is_seen(tiny: Tiny) -> None:
    machine = loaded(tiny, *cache_geometry())
    vcpu = machine.vcpus[0]
    sets = (vcpu.get_one_reg("ccsidr0") | 0x7F << 13) ^ 5 << 13
    vcpu.set_one_reg("ccsidr0", sets)
    assert vcpu.get_one_reg("ccsidr0") == sets
    assert finished(machine).x[0] == sets


def cache_geometry() -> tuple[int, ...]:
    """x0 becomes the CCSIDR_EL1 of the first level's data cache."""
    return words.msr(CSSELR_EL1, 0), words.ISB, words.mrs(0, CCSIDR_EL1)


@pytest.mark.covers("reg FW", "cap ARM_PSCI_0_2")
@pytest.mark.parametrize("version", [0x0_0002, 0x1_0000, 0x1_0001])
def test_the_guest_is_told_the_version_of_psci_that_the_host_chose(
    tiny: Tiny, version: int
) -> None:
    machine = loaded(tiny, words.hvc(), x=(PSCI_VERSION,))
    vcpu = machine.vcpus[0]
    assert machine.kvm.check_extension(Cap.ARM_PSCI_0_2) == 1
    assert vcpu.get_one_reg("psci_version") >= 0x1_0001, "what KVM offers by itself"
    vcpu.set_one_reg("psci_version", version)
    assert vcpu.get_one_reg("psci_version") == version
    assert finished(machine).x[0] == version


@pytest.mark.covers("reg FW_FEAT_BMAP")
def test_a_hypercall_that_is_not_in_the_bitmap_is_not_there(tiny: Tiny) -> None:
    answers = []
    for bits in (1, 0):
        machine = loaded(tiny, words.hvc(), x=(TRNG_VERSION,))
        vcpu = machine.vcpus[0]
        assert vcpu.get_one_reg("std_bmap") == 1
        vcpu.set_one_reg("std_bmap", bits)
        assert vcpu.get_one_reg("std_bmap") == bits
        answers.append(finished(machine).x[0])
    assert answers == [0x1_0000, NOT_SUPPORTED]


@pytest.mark.covers("reg FW_FEAT_BMAP")
def test_the_guest_is_told_which_hypercalls_the_bitmap_leaves(tiny: Tiny) -> None:
    machine = loaded(tiny, words.hvc(), x=(KVM_FEATURES,))
    vcpu = machine.vcpus[0]
    assert vcpu.get_one_reg("vendor_hyp_bmap") == 3
    vcpu.set_one_reg("vendor_hyp_bmap", 1)
    assert finished(machine).x[0] == 1


def test_workarounds_are_what_the_host_has(vcpu: Vcpu) -> None:
    for number in (1, 2, 3):
        name = f"smccc_arch_workaround_{number}"
        level = vcpu.get_one_reg(name)
        assert 0 <= level <= 3
        vcpu.set_one_reg(name, level)
