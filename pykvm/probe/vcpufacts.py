# SPDX-License-Identifier: Apache-2.0
"""What vCPUs can be on this host, by trial."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations

from pykvm.errors import KvmError
from pykvm.exits import MmioWrite
from pykvm.kvm import Kvm
from pykvm.memory import GuestMemory
from pykvm.probe.facts import Fact, Value, asked, taken
from pykvm.probe.idregs import id_registers
from pykvm.probe.machines import is_arm64, next_exit, one_vcpu, small_vm
from pykvm.probe.report import Register, Trial
from pykvm.vcpu import Vcpu, VcpuFeature
from pykvm.vm import VM

__all__ = ["feature_trials", "features_here", "registers", "vcpu_facts"]

_F = VcpuFeature
_INIT = "KVM_ARM_VCPU_INIT"
#: Bits of the first word that no kernel of today knows.
_UNKNOWN_BITS = range(len(VcpuFeature), 32)
_FEATURES = {
    "aarch32_el1": (_F.EL1_32BIT,),
    "pmu": (_F.PMU_V3,),
    "pmu_strict": (_F.PMU_V3, _F.PMU_V3_STRICT),
    "sve": (_F.SVE,),
    "ptrauth": (_F.PTRAUTH_ADDRESS, _F.PTRAUTH_GENERIC),
    "el2": (_F.HAS_EL2,),
    "el2_e2h0": (_F.HAS_EL2, _F.HAS_EL2_E2H0),
}
_ATTRIBUTES = {
    "pmu_irq": (0, 0), "pmu_init": (0, 1), "pmu_filter": (0, 2), "set_pmu": (0, 3),
    "pmu_nr_counters": (0, 4), "vtimer_irq": (1, 0), "ptimer_irq": (1, 1), "hvtimer_irq": (1, 2),
    "hptimer_irq": (1, 3), "pvtime_ipa": (2, 0),
}  # fmt: skip
_BITMAPS = ("std_bmap", "std_hyp_bmap", "vendor_hyp_bmap", "vendor_hyp_bmap_2")
_PSCI = {"0.1": 0x1, "0.2": 0x2, "1.0": 0x1_0000, "1.1": 0x1_0001, "1.2": 0x1_0002, "1.3": 0x1_0003}

_RAM_GPA, _STORE_GPA = 0x4000_0000, 0x0A00_0000
#: Stores PMCEID0_EL0, PMCEID1_EL0 and PMCR_EL0: the host cannot read the first two.
PMU_CODE = (
    (0xD53B9CC1, "mrs x1, pmceid0_el0"), (0xF9000001, "str x1, [x0]"),
    (0xD53B9CE1, "mrs x1, pmceid1_el0"), (0xF9000001, "str x1, [x0]"),
    (0xD53B9C01, "mrs x1, pmcr_el0"), (0xF9000001, "str x1, [x0]"),
)  # fmt: skip
#: Seconds until a guest that stores nothing is given up.
_PATIENCE = 20.0


def feature_trials(kvm: Kvm) -> tuple[Trial, ...]:
    """Each feature alone, then each two; of bits without a name, those that were taken."""
    if not is_arm64():
        return ()
    sets = [(feature,) for feature in VcpuFeature] + list(combinations(VcpuFeature, 2))
    found = [Trial(tuple(f.name for f in wanted), _given(kvm, wanted)) for wanted in sets]
    return (*found, *_unknown_features(kvm))


def _unknown_features(kvm: Kvm) -> Iterator[Trial]:
    """One VM does for all: the kernel refuses an unknown bit before it looks at the vCPU."""
    with small_vm(kvm) as vm, vm.create_vcpu(0) as vcpu:
        for bit in _UNKNOWN_BITS:
            fact = asked(_INIT, partial(_takes, vcpu, bit))
            if fact.state != "no":
                yield Trial((f"bit {bit}",), fact)
                return  # the vCPU is what it is now


def _takes(vcpu: Vcpu, bit: int) -> bool:
    vcpu.arm_vcpu_init([bit])
    return True


def _given(kvm: Kvm, features: Iterable[VcpuFeature | int]) -> Fact:
    def trial() -> bool:
        with one_vcpu(kvm, features):
            return True

    return asked(_INIT, trial)


def features_here(facts: dict[str, Fact]) -> tuple[VcpuFeature, ...]:
    """All that a vCPU for AArch64 guests can have here."""
    names = ("pmu", "sve", "ptrauth")
    wanted = [feature for name in names if facts[name].yes for feature in _FEATURES[name]]
    return (_F.PSCI_0_2, *wanted)


def vcpu_facts(kvm: Kvm) -> dict[str, Fact]:
    """Facts of vCPUs, of all groups."""
    if not is_arm64():
        return {}
    found = {name: _given(kvm, features) for name, features in _FEATURES.items()}
    attributes = _on_vcpu(
        kvm, "KVM_HAS_DEVICE_ATTR of a vCPU", _attributes, (_F.PMU_V3,) if found["pmu"].yes else ()
    )
    there = attributes.value if isinstance(attributes.value, tuple) else ()

    def attribute(name: str) -> Fact:
        if attributes.state == "failed":
            return attributes
        return Fact.of(name in there, attributes.source)

    found |= {
        "vcpu_attributes": attributes,
        "steal_time": attribute("pvtime_ipa"),
        "el2_timers": attribute("hvtimer_irq"),
        "psci_versions": _on_vcpu(kvm, "KVM_SET_ONE_REG(psci_version)", _psci, (_F.PSCI_0_2,)),
        "hypercall_bitmaps": _on_vcpu(kvm, "KVM_GET_ONE_REG of bitmaps", _bitmaps),
        "aarch32_el0": _on_vcpu(
            kvm, "KVM_GET_ONE_REG(id_aa64pfr0_el1)",
            lambda _, vcpu: vcpu.get_one_reg("id_aa64pfr0_el1") & 15 == 2,
        ),
        "sve_lengths": _if(found["sve"], lambda: _on_vcpu(
            kvm, "KVM_GET_ONE_REG(sve_vls)", lambda _, vcpu: vcpu.sve_lengths_bits, (_F.SVE,)
        )),
        "registers": asked("KVM_GET_REG_LIST", lambda: _count(kvm, features_here(found))),
        **_pmu(kvm, found["pmu"]),
    }  # fmt: skip
    return found


def _if(having: Fact, trial: Callable[[], Fact]) -> Fact:
    return trial() if having.yes else having


def _on_vcpu(
    kvm: Kvm,
    source: str,
    trial: Callable[[VM, Vcpu], Value],
    features: Iterable[VcpuFeature] = (),
) -> Fact:
    def made() -> Value:
        with one_vcpu(kvm, features) as (vm, vcpu):
            return trial(vm, vcpu)

    return asked(source, made)


def _attributes(_: VM, vcpu: Vcpu) -> tuple[str, ...]:
    return tuple(name for name, place in _ATTRIBUTES.items() if vcpu.has_device_attr(*place))


def _psci(_: VM, vcpu: Vcpu) -> tuple[str, ...]:
    return tuple(
        name for name, version in _PSCI.items() if taken(vcpu.set_one_reg, "psci_version", version)
    )


def _bitmaps(_: VM, vcpu: Vcpu) -> dict[str, str]:
    found = {}
    for name in _BITMAPS:
        try:
            found[name] = hex(vcpu.get_one_reg(name))
        except KvmError as refusal:
            if refusal.errno != errno.ENOENT:
                raise
    return found


def _count(kvm: Kvm, features: Iterable[VcpuFeature]) -> int:
    with one_vcpu(kvm, features) as (_, vcpu):
        if _F.SVE in features:
            vcpu.arm_vcpu_finalize(_F.SVE)
        return len(vcpu.get_reg_list())


def registers(kvm: Kvm, facts: dict[str, Fact]) -> tuple[Register, ...]:
    """The ID registers of a vCPU that has all it can have; none where they cannot be read."""
    try:
        with small_vm(kvm) as vm:
            if facts["mte"].yes:
                vm.enable_arm_mte()
            with vm.create_vcpu(0) as vcpu:
                features = features_here(facts)
                vcpu.arm_vcpu_init(features)
                if _F.SVE in features:
                    vcpu.arm_vcpu_finalize(_F.SVE)
                return id_registers(vm, vcpu)
    except KvmError:
        return ()  # facts["registers"] failed as well, and says why


def _pmu(kvm: Kvm, having: Fact) -> dict[str, Fact]:
    source = "a guest's PMCEID0_EL0, PMCEID1_EL0 and PMCR_EL0"
    if not having.yes:
        return dict.fromkeys(("pmu_counters", "pmu_events"), having)
    try:
        low, high, control = _stored_by_pmu_guest(kvm)
    except OSError as refusal:
        failed = Fact.failed(source, refusal.errno)
        return dict.fromkeys(("pmu_counters", "pmu_events"), failed)
    # Each has 32 events from 0x0000 or 0x0020 in its lower half, from 0x4000 or 0x4020 above.
    events = [
        base + bit + 32 * part
        for base, shift in ((0, 0), (0x4000, 32))
        for part, word in enumerate((low, high))
        for bit in range(32)
        if word >> shift + bit & 1
    ]
    return {
        "pmu_counters": Fact.of(control >> 11 & 31, source),
        "pmu_events": Fact.of(tuple(events), source),
    }


def _stored_by_pmu_guest(kvm: Kvm) -> tuple[int, int, int]:
    with GuestMemory(1 << 16) as memory, one_vcpu(kvm, (_F.PMU_V3,)) as (vm, vcpu):
        memory.write(0, struct.pack(f"<{len(PMU_CODE)}I", *(word for word, _ in PMU_CODE)))
        vm.add_memory(_RAM_GPA, memory)
        vcpu.pmu_init()
        vcpu.set_one_reg("pc", _RAM_GPA)
        vcpu.set_one_reg("x0", _STORE_GPA)
        stored = []
        for _ in range(3):
            exit = next_exit(vcpu, _PATIENCE)
            if not isinstance(exit, MmioWrite):
                raise OSError(errno.ETIMEDOUT, f"the guest stored nothing: {exit}")
            stored.append(exit.value)
        return stored[0], stored[1], stored[2]
