# SPDX-License-Identifier: Apache-2.0
"""The method for each row: found by its documentation, which begins with the ioctl's name.

What is no ioctl of its own (attributes, families of registers, exits) is named here.
"""

from __future__ import annotations

import inspect
import re
from functools import cache

import pykvm
from tests.coverage.rows import Row

__all__ = ["method_of"]

#: Where an ioctl's method is looked for: its descriptor's class first, then what hangs on it.
_CLASSES = {
    "system": ("Kvm",),
    "vm": ("VM", "MemorySlot", "CoalescedMmio", "GuestMemfd"),
    "vcpu": ("Vcpu",),
    "device": ("Device",),
    "enable": ("VM",),
}

#: Of several methods that are one ioctl, and of those that are documented as properties.
_ATTRS = {
    "VGIC_V2 ADDR DIST": "VgicV2.dist_addr",
    "VGIC_V2 ADDR CPU": "VgicV2.cpu_addr",
    "VGIC_V2 DIST_REGS": "VgicV2.get_dist_reg",
    "VGIC_V2 CPU_REGS": "VgicV2.get_cpu_reg",
    "VGIC_V2 NR_IRQS": "VgicV2.nr_irqs",
    "VGIC_V2 CTRL INIT": "VgicV2.init",
    "VGIC_V3 ADDR DIST": "VgicV3.dist_addr",
    "VGIC_V3 ADDR REDIST": "VgicV3.redist_addr",
    "VGIC_V3 ADDR REDIST_REGION": "VgicV3.add_redist_region",
    "VGIC_V3 NR_IRQS": "VgicV3.nr_irqs",
    "VGIC_V3 CTRL INIT": "VgicV3.init",
    "VGIC_V3 CTRL SAVE_PENDING_TABLES": "VgicV3.save_pending_tables",
    "VGIC_V3 DIST_REGS": "VgicV3.get_dist_reg",
    "VGIC_V3 REDIST_REGS": "VgicV3.get_redist_reg",
    "VGIC_V3 CPU_SYSREGS": "VgicV3.get_cpu_sysreg",
    "VGIC_V3 LEVEL_INFO": "VgicV3.get_level_info",
    "VGIC_V3 MAINT_IRQ": "VgicV3.maint_irq",
    "VGIC_ITS ADDR": "VgicIts.addr",
    "VGIC_ITS CTRL INIT": "VgicIts.init",
    "VGIC_ITS CTRL SAVE_TABLES": "VgicIts.save_tables",
    "VGIC_ITS CTRL RESTORE_TABLES": "VgicIts.restore_tables",
    "VGIC_ITS CTRL RESET": "VgicIts.reset",
    "VGIC_ITS ITS_REGS": "VgicIts.get_its_reg",
    "VGIC_V5 CTRL INIT": "VgicV5.init",
    "VGIC_V5 CTRL USERSPACE_PPIS": "VgicV5.userspace_ppis",
    "VFIO FILE_ADD": "Vfio.file_add",
    "VFIO FILE_DEL": "Vfio.file_del",
    "VM SMCCC_FILTER": "VM.set_smccc_filter",
    "VCPU PMU IRQ": "Vcpu.pmu_irq",
    "VCPU PMU INIT": "Vcpu.pmu_init",
    "VCPU PMU FILTER": "Vcpu.pmu_filter",
    "VCPU PMU SET_PMU": "Vcpu.set_pmu",
    "VCPU PMU SET_NR_COUNTERS": "Vcpu.set_pmu_nr_counters",
    "VCPU TIMER VTIMER": "Vcpu.vtimer_irq",
    "VCPU TIMER PTIMER": "Vcpu.ptimer_irq",
    "VCPU TIMER HVTIMER": "Vcpu.hvtimer_irq",
    "VCPU TIMER HPTIMER": "Vcpu.hptimer_irq",
    "VCPU PVTIME IPA": "Vcpu.pvtime_ipa",
}
_EXITS = {
    "UNKNOWN": "Unknown", "HYPERCALL": "Hypercall", "DEBUG": "Debug", "MMIO": "MmioRead, MmioWrite",
    "FAIL_ENTRY": "FailEntry", "INTR": "Interrupted", "INTERNAL_ERROR": "InternalError",
    "SYSTEM_EVENT": "SystemEvent", "ARM_NISV": "ArmNisv", "DIRTY_RING_FULL": "DirtyRingFull",
    "MEMORY_FAULT": "MemoryFault", "ARM_SEA": "ArmSea", "ARM_LDST64B": "ArmLdst64b",
}  # fmt: skip


def method_of(row: Row) -> str:
    """What to use for a row: ``Class.method``, or the values' names. ValueError: there is none."""
    match row.section:
        case "attr":
            found = _ATTRS.get(row.name)
        case "reg":
            found = "Vcpu.get_one_reg"
        case "exit":
            found = _EXITS.get(row.name)
        case "event":
            found = f"SystemEventType.{row.name}"
        case "cap":
            found = "VM.check_extension"
        case "enable":
            found = _documented(row.section, f"KVM_ENABLE_CAP, {row.name}")
        case section:
            found = _documented(section, row.name)
    if not found:
        raise ValueError(f"no public method is {row.id}")
    return found


@cache
def _documented(section: str, call: str) -> str | None:
    """The first method whose documentation begins with this call; one of its own name is best."""
    found = [
        f"{owner}.{name}"
        for owner in _CLASSES[section]
        for name in dir(getattr(pykvm, owner))
        if not name.startswith("_") and _is(getattr(pykvm, owner), name, call)
    ]
    own = call.partition(",")[0].removeprefix("KVM_").lower()
    return next((each for each in found if each.endswith(f".{own}")), next(iter(found), None))


def _is(owner: type, name: str, call: str) -> bool:
    first = (inspect.getdoc(inspect.getattr_static(owner, name)) or "").partition("\n")[0]
    return re.match(rf"{re.escape(call)}\b(?!,)", first) is not None
