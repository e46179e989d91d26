# SPDX-License-Identifier: Apache-2.0
"""Registers: by name and by id, of every width, and which features show them."""

from __future__ import annotations

import errno

import pytest

from pykvm import VM, Kvm, KvmError, KvmNotFoundError, Vcpu, VcpuFeature, reg_id, sysreg


@pytest.mark.parametrize(
    "name", [*(f"x{n}" for n in range(31)), "sp", "pc", "sp_el1", "elr_el1", "ttbr0_el1"]
)
def test_64_bit_registers_hold_what_is_written(vcpu: Vcpu, name: str) -> None:
    for value in (0x1234_5678_9ABC_DEF0, 2**64 - 1, 0):
        vcpu.set_one_reg(name, value)
        assert vcpu.get_one_reg(name) == value
        assert vcpu.get_one_reg(reg_id(name)) == value


def test_neighbours_are_left_alone(vcpu: Vcpu) -> None:
    names = [*(f"x{n}" for n in range(31)), "sp", "pc", "sp_el1", "elr_el1", "fpsr", "fpcr"]
    names += [f"v{n}" for n in range(32)]
    values = {name: 0x0100 + number for number, name in enumerate(names)}
    values["fpsr"] = values["fpcr"] = 0
    for name, value in values.items():
        vcpu.set_one_reg(name, value)
    assert {name: vcpu.get_one_reg(name) for name in names} == values


@pytest.mark.parametrize("number", [0, 1, 31])
def test_vector_registers_are_128_bits(vcpu: Vcpu, number: int) -> None:
    value = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210
    vcpu.set_one_reg(f"v{number}", value)
    assert vcpu.get_one_reg(f"v{number}") == value
    with pytest.raises(ValueError, match="value"):
        vcpu.set_one_reg(f"v{number}", 1 << 128)


def test_32_bit_registers(vcpu: Vcpu) -> None:
    vcpu.set_one_reg("fpsr", 0x0800_009F)
    assert vcpu.get_one_reg("fpsr") == 0x0800_009F
    with pytest.raises(ValueError, match="value"):
        vcpu.set_one_reg("fpsr", 1 << 32)


@pytest.mark.parametrize(("vcpu_id", "affinity"), [(0, 0x0), (1, 0x1), (16, 0x100), (18, 0x102)])
def test_mpidr_follows_the_vcpu_number(vm: VM, vcpu_id: int, affinity: int) -> None:
    if vcpu_id >= vm.check_extension(128):  # a host that does GICv2 only has 8
        vcpu_id, affinity = 7, 0x7
    with vm.create_vcpu(vcpu_id) as vcpu:
        vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
        assert vcpu.get_one_reg("MPIDR_EL1") & 0xFF_FFFF == affinity
        assert vcpu.get_one_reg("S3_0_C0_C0_5") & 0xFF_FFFF == affinity


def test_the_virtual_timer_is_where_the_kernel_swapped_it_to(vcpu: Vcpu) -> None:
    vcpu.set_one_reg("cntv_cval_el0", 0x1234_5678)
    assert vcpu.get_one_reg("cntv_cval_el0") == 0x1234_5678
    first = vcpu.get_one_reg("cntvct_el0")
    assert vcpu.get_one_reg("cntvct_el0") > first


def test_registers_that_are_not_there(vcpu: Vcpu) -> None:
    with pytest.raises(KvmNotFoundError, match="s3_7_c15_c15_7"):
        vcpu.get_one_reg(sysreg(3, 7, 15, 15, 7))
    with pytest.raises(KvmNotFoundError):
        vcpu.set_one_reg(sysreg(3, 7, 15, 15, 7), 0)
    with pytest.raises(ValueError, match="called 'x31'"):
        vcpu.get_one_reg("x31")
    for wrong in (0, reg_id("x0") & ~(0xF << 60), reg_id("x0") | 1 << 40):
        with pytest.raises(KvmError) as caught:
            vcpu.get_one_reg(wrong)
        assert caught.value.errno == errno.EINVAL


def test_before_init_there_are_none(vm: VM) -> None:
    with vm.create_vcpu(3) as vcpu:
        for call in (
            lambda: vcpu.get_one_reg("x0"),
            lambda: vcpu.set_one_reg("x0", 0),
            vcpu.get_reg_list,
        ):
            with pytest.raises(KvmError, match="arm_vcpu_init") as caught:
                call()
            assert caught.value.errno == errno.ENOEXEC


def test_features_must_agree(vm: VM, vcpu: Vcpu) -> None:
    with pytest.raises(KvmError, match="differs") as caught:
        vcpu.arm_vcpu_init([])
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(KvmNotFoundError, match="bit that this kernel"):
        vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2, 100])


def test_init_again_resets(vcpu: Vcpu) -> None:
    vcpu.set_one_reg("x5", 5)
    vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
    assert vcpu.get_one_reg("x5") == 0


@pytest.mark.covers("vm KVM_ARM_PREFERRED_TARGET")
def test_the_preferred_target_is_the_hosts_own(vm: VM) -> None:
    """5, the generic one, but for a few old CPUs that older kernels know by number."""
    target = vm.arm_preferred_target()
    assert 0 <= target <= 5
    with vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2], target=target)
        with pytest.raises(KvmError):
            vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2], target=99)


def test_the_width_of_guest_addresses() -> None:
    with Kvm() as kvm:
        widest = kvm.check_extension(165)
        kvm.create_vm(ipa_bits=widest).close()
        for width in (31, widest + 1):
            with pytest.raises(KvmError, match="host's limit") as caught:
                kvm.create_vm(ipa_bits=width)
            assert caught.value.errno == errno.EINVAL
