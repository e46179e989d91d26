# SPDX-License-Identifier: Apache-2.0
"""Scalable vectors: set-up in its order, lengths as the guest measures them, all registers."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

import pytest
from guests import layout, words
from tinyvm import TinyVm

from pykvm import VM, Cap, KvmNotFoundError, Vcpu, VcpuFeature
from tests.arm64.conftest import refused
from tests.arm64.execute import CODE_GPA, finished, loaded
from tests.arm64.spis import Tiny

pytestmark = pytest.mark.needs("sve")

CPACR_EL1 = (3, 0, 1, 0, 2)
ZCR_EL1 = (3, 0, 1, 2, 0)
#: CPACR_EL1: the guest may use vectors, scalable ones too.
SVE_ON = 3 << 20 | 3 << 16
LONGEST = 0xF
STORE_GPA = CODE_GPA + 0x1000
#: x0 and x1 of the function: vectors on, of the longest length that there is.
SET_UP = (words.msr(CPACR_EL1, 0), words.ISB, words.msr(ZCR_EL1, 1), words.ISB)


def vectors(tiny: Tiny, *instructions: int, lengths: Iterable[int] = (), **options: Any) -> TinyVm:
    """A machine with SVE set up, whose guest switches it on; x2 is STORE_GPA."""
    machine = loaded(
        tiny, *SET_UP, *instructions, x=(SVE_ON, LONGEST, STORE_GPA),
        features=[VcpuFeature.SVE], **options,
    )  # fmt: skip
    if lengths:
        machine.vcpus[0].sve_lengths_bits = tuple(lengths)
    machine.vcpus[0].arm_vcpu_finalize(VcpuFeature.SVE)
    return machine


@pytest.fixture
def raw(vm: VM) -> Vcpu:
    """A vCPU with SVE, not finalised."""
    vcpu = vm.create_vcpu(0)
    vcpu.arm_vcpu_init([VcpuFeature.SVE])
    return vcpu


@pytest.mark.covers("cap ARM_SVE", "vcpu KVM_ARM_VCPU_FINALIZE")
def test_vectors_are_there_once_they_are_finalised(raw: Vcpu, vm: VM) -> None:
    assert vm.check_extension(Cap.ARM_SVE) == 1
    with refused(errno.EPERM, "KVM_GET_REG_LIST"):
        raw.get_reg_list()
    for name in ("z0", "p0", "ffr"):
        with refused(errno.EPERM, "KVM_GET_ONE_REG"):
            raw.get_one_reg(name)
        with refused(errno.EPERM, "KVM_SET_ONE_REG"):
            raw.set_one_reg(name, 0)
    with refused(errno.EPERM, "KVM_RUN"):
        raw.run()
    raw.arm_vcpu_finalize(VcpuFeature.SVE)
    assert raw.get_reg_list()
    raw.set_one_reg("z0", 5)
    assert raw.get_one_reg("z0") == 5
    with refused(errno.EPERM, "KVM_ARM_VCPU_FINALIZE"):
        raw.arm_vcpu_finalize(VcpuFeature.SVE)


def test_lengths_are_chosen_before_that_and_can_be_read_after(raw: Vcpu) -> None:
    shortest, *_ = lengths = raw.sve_lengths_bits
    assert lengths == tuple(sorted(lengths))
    assert shortest == 128
    raw.sve_lengths_bits = [128]
    assert raw.sve_lengths_bits == (128,)
    raw.arm_vcpu_finalize(VcpuFeature.SVE)
    assert raw.sve_lengths_bits == (128,)
    with refused(errno.EPERM, "KVM_SET_ONE_REG"):
        raw.sve_lengths_bits = lengths


def test_lengths_that_the_host_lacks_are_refused(raw: Vcpu) -> None:
    longest = raw.sve_lengths_bits[-1]
    for lengths in ((), (128, 2 * longest), (65536,)):
        with refused(errno.EINVAL, "KVM_SET_ONE_REG"):
            raw.sve_lengths_bits = lengths
    for wrong in (64, 200, 0, 65536 + 128):
        with pytest.raises(ValueError, match="sve_lengths_bits"):
            raw.sve_lengths_bits = (wrong,)
    assert raw.sve_lengths_bits[-1] == longest


def test_features_that_are_not_to_be_finalised(vm: VM) -> None:
    with vm.create_vcpu(0) as vcpu:
        with refused(errno.ENOEXEC, "KVM_ARM_VCPU_FINALIZE"):
            vcpu.arm_vcpu_finalize(VcpuFeature.SVE)
        vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
        for feature in (VcpuFeature.SVE, VcpuFeature.PMU_V3):
            with refused(errno.EINVAL, "KVM_ARM_VCPU_FINALIZE"):
                vcpu.arm_vcpu_finalize(feature)
        with pytest.raises(KvmNotFoundError):
            _ = vcpu.sve_lengths_bits


@pytest.mark.covers("reg SVE", "vcpu KVM_ARM_VCPU_FINALIZE", "vcpu KVM_ARM_VCPU_INIT")
def test_the_guest_measures_the_longest_length(tiny: Tiny) -> None:
    machine = vectors(tiny, words.rdvl(4))
    assert finished(machine).x[4] * 8 == machine.vcpus[0].sve_lengths_bits[-1]


@pytest.mark.needs("sve_256")
@pytest.mark.covers("reg SVE")
def test_the_guest_measures_the_length_that_was_chosen(tiny: Tiny) -> None:
    for lengths in ((128,), (128, 256)):
        machine = vectors(tiny, words.rdvl(4), lengths=lengths)
        assert finished(machine).x[4] * 8 == lengths[-1]


@pytest.mark.covers("reg SVE")
def test_vectors_and_predicates_that_the_host_writes_are_seen(tiny: Tiny) -> None:
    machine = vectors(tiny, *STORES)
    vcpu = machine.vcpus[0]
    size = vcpu.sve_lengths_bits[-1] // 8
    # The guest chooses the length too, but with a shorter one at first it need not keep the rest.
    vcpu.set_one_reg("zcr_el1", LONGEST)
    vector = int.from_bytes(bytes(range(size)), "little")
    predicate = int.from_bytes(bytes(range(0x31, 0x31 + size // 8)), "little")
    vcpu.set_one_reg("z3", vector)
    vcpu.set_one_reg("p2", predicate)
    vcpu.set_one_reg("ffr", (1 << size // 2) - 1)
    finished(machine)
    places = [0x000, 0x100, 0x140]
    sizes = [size, size // 8, size // 8]
    assert [stored(machine, *place) for place in zip(places, sizes, strict=True)] == [
        vector, predicate, (1 << size // 2) - 1,
    ]  # fmt: skip
    assert vcpu.get_one_reg("z3") == vector
    assert vcpu.get_one_reg("p2") == predicate
    assert vcpu.get_one_reg("p1") == vcpu.get_one_reg("ffr") == (1 << size // 2) - 1


#: z3, p2 and ffr, from x2 on; x3 and x4 are scratch.
STORES = (
    words.str_z(3, 2),
    words.add(3, 2, 0x100),
    words.str_p(2, 3),
    words.rdffr(1),
    words.add(3, 2, 0x140),
    words.str_p(1, 3),
)


def stored(machine: TinyVm, offset: int, size: int) -> int:
    """What the guest left at an offset from STORE_GPA."""
    data = machine.memory.read(STORE_GPA - layout.RAM_GPA + offset, size)
    return int.from_bytes(data, "little")
