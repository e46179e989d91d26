# SPDX-License-Identifier: Apache-2.0
"""Every register that KVM lists has a name, whatever the vCPU is given."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from pykvm import VM, RegFamily, Vcpu, VcpuFeature, reg_family, reg_id, reg_name, reg_size

PTRAUTH = (VcpuFeature.PTRAUTH_ADDRESS, VcpuFeature.PTRAUTH_GENERIC)
KEYS = ("ia", "ib", "da", "db", "ga")
#: Encodings that the architecture keeps for ID registers to come, and that read as zero.
RESERVED = re.compile(r"s3_0_c0_c[3-7]_[0-7]")


def needing(what: str, *features: VcpuFeature) -> object:
    return pytest.param(features, id=what, marks=pytest.mark.needs(what))


def made(vm: VM, features: Iterable[VcpuFeature]) -> Vcpu:
    """A vCPU whose registers can all be listed."""
    features = list(features)
    vcpu = vm.create_vcpu(0)
    vcpu.arm_vcpu_init(features)
    if VcpuFeature.SVE in features:
        vcpu.arm_vcpu_finalize(VcpuFeature.SVE)
    return vcpu


@pytest.mark.covers("vcpu KVM_GET_REG_LIST")
@pytest.mark.parametrize(
    "features",
    [
        pytest.param((), id="plain"),
        needing("pmu", VcpuFeature.PMU_V3),
        needing("sve", VcpuFeature.SVE),
        needing("ptrauth", *PTRAUTH),
        needing("aarch32", VcpuFeature.EL1_32BIT),
        needing("el2", VcpuFeature.HAS_EL2),
        needing("el2_e2h0", VcpuFeature.HAS_EL2, VcpuFeature.HAS_EL2_E2H0),
    ],
)
def test_every_listed_register_has_a_name_and_is_read(
    vm: VM, features: tuple[VcpuFeature, ...]
) -> None:
    with made(vm, features) as vcpu:
        ids = vcpu.get_reg_list()
        values = {number: vcpu.get_one_reg(number) for number in ids}
    assert len(set(ids)) == len(ids) > 200
    names = {number: reg_name(number) for number in ids}
    nameless = [name for name in names.values() if re.match(r"s\d_|0x", name)]
    assert [name for name in nameless if not RESERVED.fullmatch(name)] == []
    assert all(values[reg_id(name)] == 0 for name in nameless)
    for number, name in names.items():
        assert reg_id(name) == reg_id(name.upper()) == number
        assert values[number] < 1 << 8 * reg_size(number)
    kinds = set(RegFamily) - (set() if VcpuFeature.SVE in features else {RegFamily.SVE})
    assert {reg_family(number) for number in ids} == kinds
    assert {f"x{n}" for n in range(31)} | {"mpidr_el1", "cntv_cval_el0"} <= set(names.values())


@pytest.mark.needs("mte")
def test_registers_of_memory_tagging_have_names(vm: VM) -> None:
    vm.enable_arm_mte()
    with made(vm, ()) as vcpu:
        names = {reg_name(number) for number in vcpu.get_reg_list()}
    assert {"rgsr_el1", "gcr_el1", "tfsr_el1", "tfsre0_el1"} <= names


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        pytest.param(
            (VcpuFeature.PMU_V3,),
            {"pmcr_el0", "pmccfiltr_el0"}
            | {f"pmev{kind}{n}_el0" for kind in ("cntr", "typer") for n in range(31)},
            marks=pytest.mark.needs("pmu"),
            id="pmu",
        ),
        pytest.param(
            PTRAUTH,
            {
                f"ap{key}key{end}_el1"
                for key in ("ia", "ib", "da", "db", "ga")
                for end in ("lo", "hi")
            },
            marks=pytest.mark.needs("ptrauth"),
            id="ptrauth",
        ),
        pytest.param(
            (VcpuFeature.SVE,),
            {f"z{n}" for n in range(32)} | {f"p{n}" for n in range(16)} | {"ffr", "sve_vls"},
            marks=pytest.mark.needs("sve"),
            id="sve",
        ),
        pytest.param(
            (VcpuFeature.HAS_EL2,),
            {"hcr_el2", "vbar_el2", "sp_el2", "elr_el2", "vttbr_el2", "cnthp_cval_el2"},
            marks=pytest.mark.needs("el2"),
            id="el2",
        ),
    ],
)
def test_a_feature_brings_its_registers(
    vm: VM, features: tuple[VcpuFeature, ...], expected: set[str]
) -> None:
    with made(vm, features) as vcpu:
        names = {reg_name(number) for number in vcpu.get_reg_list()}
    assert expected <= names
