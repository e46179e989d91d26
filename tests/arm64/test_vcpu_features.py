# SPDX-License-Identifier: Apache-2.0
"""What a vCPU is given at its init, the guest has; what it is not given, the guest lacks."""

from __future__ import annotations

import errno

import pytest
from guests import words

from pykvm import VM, Cap, Kvm, KvmError, VcpuFeature, reg_name
from tests.arm64 import bare
from tests.arm64.conftest import refused
from tests.arm64.execute import Outcome, executed, finished, loaded
from tests.arm64.spis import Tiny

SCTLR_EL1 = (3, 0, 1, 0, 0)
CURRENT_EL = (3, 0, 4, 2, 2)
PMCR_EL0 = (3, 3, 9, 12, 0)
ID_AA64MMFR1_EL1 = (3, 0, 0, 7, 1)

PSCI_VERSION = 0x8400_0000
AFFINITY_INFO = 0xC400_0004
#: PSCI 0.1 had no numbers of its own: KVM's.
PSCI_0_1_CPU_ON = 0x95C1_BA60
NOT_SUPPORTED = 2**64 - 1
ON, OFF = 0, 1

PTRAUTH = (VcpuFeature.PTRAUTH_ADDRESS, VcpuFeature.PTRAUTH_GENERIC)
#: SCTLR_EL1: pointers to instructions are signed with key A.
ENABLE_IA = 1 << 31
#: The vCPU attribute that completes a PMU: its group and number.
PMU_INIT = (0, 1)


#: Makes the call whose number is in x6, and stores its answer.
CALL = (words.mov(5, 0), words.mov(0, 6), words.hvc(), words.str_(0, 5))


def told(features: list[VcpuFeature], *instructions: int, **registers: int) -> int:
    """What the instructions store, on a vCPU that has these features."""
    with Kvm() as kvm, kvm.create_vm() as vm, vm.create_vcpu(0) as vcpu:
        bare.put(vm, *instructions)
        vcpu.arm_vcpu_init(features)
        if VcpuFeature.HAS_EL2 in features:
            bare.add_gic(vm)
        bare.start(vcpu, **registers)
        return bare.stored(vcpu)


def read(register: words.Sysreg) -> tuple[int, ...]:
    return words.mrs(1, register), words.str_(1, 0)


@pytest.mark.covers("vcpu KVM_ARM_VCPU_INIT")
@pytest.mark.parametrize(("features", "state"), [((), ON), ((VcpuFeature.POWER_OFF,), OFF)])
def test_a_vcpu_starts_stopped_where_that_is_asked_for(
    vm: VM, features: tuple[VcpuFeature, ...], state: int
) -> None:
    bare.put(vm, *CALL)
    with vm.create_vcpu(0) as asking, vm.create_vcpu(1) as asked:
        asking.arm_vcpu_init([VcpuFeature.PSCI_0_2])
        asked.arm_vcpu_init([VcpuFeature.PSCI_0_2, *features])
        bare.start(asking, x6=AFFINITY_INFO, x1=1, x2=0)
        assert bare.stored(asking) == state


@pytest.mark.covers("vcpu KVM_ARM_VCPU_INIT", "cap ARM_PSCI_0_2")
def test_psci_is_the_old_one_unless_the_newer_is_asked_for(vm: VM) -> None:
    """From 0.2 on, it can be asked which version it is."""
    assert vm.check_extension(Cap.ARM_PSCI_0_2) == 1
    assert told([VcpuFeature.PSCI_0_2], *CALL, x6=PSCI_VERSION) >= 0x1_0001
    assert told([], *CALL, x6=PSCI_VERSION) == NOT_SUPPORTED


@pytest.mark.covers("cap ARM_PSCI")
def test_the_old_psci_starts_a_cpu(vm: VM) -> None:
    assert vm.check_extension(Cap.ARM_PSCI) == 1
    bare.put(vm, *CALL, words.str_(0, 0))
    entry = bare.RAM_GPA + 4 * len(CALL)
    with vm.create_vcpu(0) as first, vm.create_vcpu(1) as second:
        first.arm_vcpu_init([])
        assert first.get_one_reg("psci_version") == 0x1
        second.arm_vcpu_init([VcpuFeature.POWER_OFF])
        bare.start(first, x6=PSCI_0_1_CPU_ON, x1=1, x2=entry, x3=bare.MMIO_GPA)
        assert bare.stored(first) == 0, "the second one is on"
        assert bare.stored(second) == bare.MMIO_GPA, "which it was given, and stores there"


@pytest.mark.needs("pmu")
@pytest.mark.covers("vcpu KVM_ARM_VCPU_INIT")
def test_a_performance_monitor_is_there_where_it_is_asked_for(tiny: Tiny) -> None:
    machine = loaded(tiny, words.mrs(0, PMCR_EL0), features=[VcpuFeature.PMU_V3])
    machine.vcpus[0].set_device_attr(*PMU_INIT)
    there = finished(machine)
    assert there.exceptions == 0
    assert there.x[0] == machine.vcpus[0].get_one_reg("pmcr_el0") > 0
    assert executed(tiny, words.mrs(0, PMCR_EL0)).exceptions == 1


def signed(tiny: Tiny, key: int, features: tuple[VcpuFeature, ...] = PTRAUTH) -> Outcome:
    """A pointer signed in x0, a word in x3, with keys that the host chose."""
    machine = loaded(
        tiny, words.mrs(4, SCTLR_EL1), words.orr(4, 4, 5), words.msr(SCTLR_EL1, 4), words.ISB,
        words.pacia(0, 1), words.pacga(3, 1, 2),
        x=(0x4000_1230, 0x55, 0xAA, 0, 0, ENABLE_IA), features=features,
    )  # fmt: skip
    for name in ("apiakeylo_el1", "apgakeyhi_el1") if features else ():
        machine.vcpus[0].set_one_reg(name, key)
    return finished(machine)


@pytest.mark.needs("ptrauth")
@pytest.mark.covers(
    "cap ARM_PTRAUTH_ADDRESS", "cap ARM_PTRAUTH_GENERIC", "vcpu KVM_ARM_VCPU_INIT", "reg SYSREG"
)
def test_pointers_are_signed_with_the_keys_that_the_host_chose(tiny: Tiny) -> None:
    with Kvm() as kvm:
        for cap in (Cap.ARM_PTRAUTH_ADDRESS, Cap.ARM_PTRAUTH_GENERIC):
            assert kvm.check_extension(cap) == 1
    outcomes = [signed(tiny, key) for key in (0x1111_2222_3333_4444, 5, 5)]
    assert [outcome.exceptions for outcome in outcomes] == [0, 0, 0]
    pointers = [outcome.x[0] for outcome in outcomes]
    assert {pointer & 0xFFFF_FFFF for pointer in pointers} == {0x4000_1230}
    assert pointers[0] != pointers[1] == pointers[2]
    words_ = [outcome.x[3] for outcome in outcomes]
    assert words_[0] != words_[1] == words_[2]
    assert signed(tiny, 5, features=()).exceptions == 2, "both instructions are undefined"


@pytest.mark.needs("aarch32")
@pytest.mark.covers("cap ARM_EL1_32BIT", "vcpu KVM_ARM_VCPU_INIT")
def test_a_kernel_of_32_bits_runs(vm: VM) -> None:
    assert vm.check_extension(Cap.ARM_EL1_32BIT) == 1
    bare.put(
        vm,
        0xE3A0102A,  # mov r1, #42
        0xE5801000,  # str r1, [r0]
        0xE10F1000,  # mrs r1, cpsr
        0xE5801000,  # str r1, [r0]
    )
    with vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init([VcpuFeature.EL1_32BIT])
        bare.start(vcpu)
        assert bare.stored(vcpu) == 42
        assert bare.stored(vcpu) & 0x1F == 0x13, "supervisor mode"


@pytest.mark.needs("el2")
@pytest.mark.covers("cap ARM_EL2", "vcpu KVM_ARM_VCPU_INIT")
def test_a_hypervisor_starts_at_el2(vm: VM) -> None:
    assert vm.check_extension(Cap.ARM_EL2) == 1
    assert told([VcpuFeature.HAS_EL2], *read(CURRENT_EL)) == 2 << 2
    assert told([], *read(CURRENT_EL)) == 1 << 2


@pytest.mark.needs("el2")
def test_a_hypervisor_without_a_gic_is_told_what_it_lacks(vm: VM) -> None:
    with vm.create_vcpu(0) as vcpu, refused(errno.EAGAIN, "KVM_RUN"):
        vcpu.arm_vcpu_init([VcpuFeature.HAS_EL2])
        vcpu.run()


@pytest.mark.needs("el2_e2h0")
@pytest.mark.covers("cap ARM_EL2_E2H0", "vcpu KVM_ARM_VCPU_INIT")
def test_a_hypervisor_without_vhe(vm: VM) -> None:
    """It has a CPU that lacks it."""
    assert vm.check_extension(Cap.ARM_EL2_E2H0) == 1
    both = [VcpuFeature.HAS_EL2, VcpuFeature.HAS_EL2_E2H0]
    assert told(both, *read(CURRENT_EL)) == 2 << 2
    vhe = [told(each, *read(ID_AA64MMFR1_EL1)) >> 8 & 0xF for each in (both[:1], both)]
    assert vhe == [1, 0]


@pytest.mark.parametrize(
    ("cap", "features"),
    [
        (Cap.ARM_EL1_32BIT, [VcpuFeature.EL1_32BIT]),
        (Cap.ARM_SVE, [VcpuFeature.SVE]),
        (Cap.ARM_PTRAUTH_ADDRESS, [*PTRAUTH]),
        (Cap.ARM_PTRAUTH_GENERIC, [*PTRAUTH]),
        (Cap.ARM_EL2, [VcpuFeature.HAS_EL2]),
        (Cap.ARM_EL2_E2H0, [VcpuFeature.HAS_EL2, VcpuFeature.HAS_EL2_E2H0]),
    ],
)
def test_what_a_capability_says_is_what_init_does(
    vm: VM, cap: Cap, features: list[VcpuFeature]
) -> None:
    with vm.create_vcpu(0) as vcpu:
        if vm.check_extension(cap):
            vcpu.arm_vcpu_init(features)
        else:
            with pytest.raises(KvmError) as caught:
                vcpu.arm_vcpu_init(features)
            # ENOENT: a bit that this kernel does not know.
            assert caught.value.errno in (errno.EINVAL, errno.ENOENT)


@pytest.mark.needs("ptrauth")
def test_pointer_authentication_is_whole_or_not_at_all(vm: VM) -> None:
    with vm.create_vcpu(0) as vcpu:
        for feature in PTRAUTH:
            with pytest.raises(KvmError) as caught:
                vcpu.arm_vcpu_init([feature])
            assert caught.value.errno == errno.EINVAL
        vcpu.arm_vcpu_init(PTRAUTH)
        assert "apiakeylo_el1" in map(reg_name, vcpu.get_reg_list())
