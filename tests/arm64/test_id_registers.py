# SPDX-License-Identifier: Apache-2.0
"""ID registers: what of them can be changed, and that the guest believes it."""

from __future__ import annotations

import errno
import struct

import pytest
from guests import words

from pykvm import VM, Cap, KvmError, Vcpu, VcpuFeature, reg_id, sysreg
from tests.arm64.conftest import refused
from tests.arm64.execute import finished, loaded
from tests.arm64.spis import Tiny

MIDR_EL1 = (3, 0, 0, 0, 0)
REVIDR_EL1 = (3, 0, 0, 0, 6)
AIDR_EL1 = (3, 1, 0, 0, 7)
ID_AA64ISAR0_EL1 = (3, 0, 0, 6, 0)

#: ID_AA64ISAR0_EL1.CRC32, which every CPU of the lab has.
CRC32 = 0xF << 16
#: KVM_ARM_GET_REG_WRITABLE_MASKS, for ranges that pykvm has no way to ask for.
GET_REG_WRITABLE_MASKS = 0x8040AEB6

changeable = pytest.mark.needs("reg_masks")


@changeable
@pytest.mark.covers("vm KVM_ARM_GET_REG_WRITABLE_MASKS")
def test_masks_tell_what_can_be_changed(vm: VM, vcpu: Vcpu) -> None:
    masks = vm.arm_get_reg_writable_masks()
    features = reg_id("id_aa64isar0_el1")
    assert masks[features] & CRC32 == CRC32
    assert not masks[features] & 0xF, "reserved"
    assert reg_id("mpidr_el1") not in masks
    assert all(masks.values())
    assert set(masks) <= {sysreg(3, op1, 0, n // 8, n % 8) for op1 in (0, 1, 3) for n in range(64)}
    with pytest.raises(TypeError):
        masks[features] = 0  # type: ignore[index]

    value = vcpu.get_one_reg(features)
    with refused(errno.EINVAL, "KVM_SET_ONE_REG"):
        vcpu.set_one_reg(features, value | 1)
    vcpu.set_one_reg(features, value & ~CRC32)
    assert vcpu.get_one_reg(features) == value & ~CRC32


@changeable
def test_every_bit_of_the_masks_can_be_kept_and_no_other_be_set(vm: VM, vcpu: Vcpu) -> None:
    """A read-only bit is refused for a register whose other bits are writable."""
    whole = 2**64 - 1
    for number, mask in vm.arm_get_reg_writable_masks().items():
        value = vcpu.get_one_reg(number)
        vcpu.set_one_reg(number, value)
        if mask != whole:
            lowest = ~mask & (mask + 1) if mask & 1 else 1
            with pytest.raises(KvmError):
                vcpu.set_one_reg(number, value ^ lowest)


@changeable
@pytest.mark.covers("cap ARM_SUPPORTED_REG_MASK_RANGES")
def test_the_ranges_that_have_masks(vm: VM) -> None:
    assert vm.check_extension(Cap.ARM_SUPPORTED_REG_MASK_RANGES) == 1 << 0
    assert vm.arm_get_reg_writable_masks()
    with pytest.raises(KvmError) as caught:
        vm.ioctl(GET_REG_WRITABLE_MASKS, bytearray(struct.pack("<QI52x", 0, 1)))
    assert caught.value.errno == errno.EINVAL


def test_kernels_without_masks_say_so(vm: VM) -> None:
    if vm.check_extension(Cap.ARM_SUPPORTED_REG_MASK_RANGES):
        vm.arm_get_reg_writable_masks()
    else:
        with refused(errno.EINVAL, "KVM_ARM_GET_REG_WRITABLE_MASKS"):
            vm.arm_get_reg_writable_masks()


@changeable
@pytest.mark.covers("reg SYSREG")
def test_a_hidden_feature_is_hidden_from_the_guest(tiny: Tiny) -> None:
    machine = loaded(tiny, words.mrs(0, ID_AA64ISAR0_EL1))
    vcpu = machine.vcpus[0]
    value = vcpu.get_one_reg("id_aa64isar0_el1")
    assert value & CRC32
    vcpu.set_one_reg("id_aa64isar0_el1", value & ~CRC32)
    assert finished(machine).x[0] == value & ~CRC32
    with refused(errno.EBUSY, "KVM_SET_ONE_REG"):
        vcpu.set_one_reg("id_aa64isar0_el1", value)


@pytest.mark.needs("imp_id_regs")
@pytest.mark.covers("enable ARM_WRITABLE_IMP_ID_REGS", "cap ARM_WRITABLE_IMP_ID_REGS")
def test_the_guest_can_be_told_of_another_implementation(tiny: Tiny) -> None:
    machine = loaded(
        tiny, words.mrs(0, MIDR_EL1), words.mrs(1, REVIDR_EL1), words.mrs(2, AIDR_EL1),
        prepare=VM.enable_arm_writable_imp_id_regs,
    )  # fmt: skip
    assert machine.vm.check_extension(Cap.ARM_WRITABLE_IMP_ID_REGS) == 1
    told = {"midr_el1": 0x4E0F_0110, "revidr_el1": 0x55, "aidr_el1": 0xAA}
    for name, value in told.items():
        machine.vcpus[0].set_one_reg(name, value)
    assert finished(machine).x[:3] == tuple(told.values())


def test_the_implementation_is_the_hosts_until_that_is_enabled(vm: VM, vcpu: Vcpu) -> None:
    for name in ("midr_el1", "revidr_el1", "aidr_el1"):
        value = vcpu.get_one_reg(name)
        vcpu.set_one_reg(name, value)
        with refused(errno.EINVAL, "KVM_SET_ONE_REG"):
            vcpu.set_one_reg(name, value ^ 1 << 4)


def test_once_there_is_a_vcpu_it_is_too_late_to_enable_that(vm: VM) -> None:
    """Older kernels refuse it always, and with the same errno."""
    with vm.create_vcpu(0) as vcpu, refused(errno.EINVAL, "KVM_ENABLE_CAP"):
        vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
        vm.enable_arm_writable_imp_id_regs()
