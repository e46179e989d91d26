# SPDX-License-Identifier: Apache-2.0
"""The rows of the coverage table: everything that arm64's KVM can be asked.

``id`` is what ``@pytest.mark.covers`` names: a section and a name. ``rust`` is what the Rust crate
kvm-ioctls 0.24 has on aarch64, where it has it (its ``raw`` forms leave numbers and layouts to the
caller). ``mark`` says why no emulated host can serve a row: then its test proves the refusal.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ROWS", "SECTIONS", "Row"]


class Row(NamedTuple):
    """One thing that KVM can be asked."""

    section: str
    name: str
    rust: str = ""
    mark: str = ""

    @property
    def id(self) -> str:
        return f"{self.section} {self.name}"


#: In the order of the table, with what each is called there.
SECTIONS = {
    "system": "Ioctls of /dev/kvm",
    "vm": "Ioctls of a VM",
    "vcpu": "Ioctls of a vCPU",
    "device": "Ioctls of a device",
    "enable": "Capabilities to switch on",
    "attr": "Attributes of devices, VMs and vCPUs",
    "reg": "Families of registers",
    "exit": "Exits",
    "event": "System events",
    "cap": "Capabilities",
}

_SYSTEM = {
    "KVM_GET_API_VERSION": "get_api_version",
    "KVM_CREATE_VM": "create_vm_with_type",
    "KVM_CHECK_EXTENSION": "check_extension_raw",
    "KVM_GET_VCPU_MMAP_SIZE": "get_vcpu_mmap_size",
}
_VM = {
    "KVM_CHECK_EXTENSION": "check_extension_raw",
    "KVM_CREATE_VCPU": "create_vcpu",
    "KVM_SET_USER_MEMORY_REGION": "set_user_memory_region",
    "KVM_SET_USER_MEMORY_REGION2": "set_user_memory_region2",
    "KVM_GET_DIRTY_LOG": "get_dirty_log",
    "KVM_CLEAR_DIRTY_LOG": "",
    "KVM_RESET_DIRTY_RINGS": "",
    "KVM_CREATE_IRQCHIP": "create_irq_chip",
    "KVM_ARM_SET_DEVICE_ADDR": "",
    "KVM_IRQ_LINE": "set_irq_line",
    "KVM_IRQ_LINE_STATUS": "",
    "KVM_SET_GSI_ROUTING": "set_gsi_routing",
    "KVM_IRQFD": "register_irqfd",
    "KVM_IOEVENTFD": "register_ioevent",
    "KVM_SIGNAL_MSI": "signal_msi",
    "KVM_REGISTER_COALESCED_MMIO": "register_coalesced_mmio",
    "KVM_UNREGISTER_COALESCED_MMIO": "unregister_coalesced_mmio",
    "KVM_CREATE_DEVICE": "create_device",
    "KVM_SET_DEVICE_ATTR": "set_device_attr",
    "KVM_HAS_DEVICE_ATTR": "has_device_attr",
    "KVM_ENABLE_CAP": "",
    "KVM_ARM_PREFERRED_TARGET": "get_preferred_target",
    "KVM_ARM_MTE_COPY_TAGS": "",
    "KVM_ARM_SET_COUNTER_OFFSET": "",
    "KVM_ARM_GET_REG_WRITABLE_MASKS": "",
    "KVM_GET_STATS_FD": "",
    "KVM_CREATE_GUEST_MEMFD": "create_guest_memfd",
}
_VCPU = {
    "KVM_ARM_VCPU_INIT": "vcpu_init",
    "KVM_ARM_VCPU_FINALIZE": "vcpu_finalize",
    "KVM_RUN": "run",
    "KVM_GET_ONE_REG": "get_one_reg",
    "KVM_SET_ONE_REG": "set_one_reg",
    "KVM_GET_REG_LIST": "get_reg_list",
    "KVM_GET_MP_STATE": "get_mp_state",
    "KVM_SET_MP_STATE": "set_mp_state",
    "KVM_GET_VCPU_EVENTS": "get_vcpu_events",
    "KVM_SET_VCPU_EVENTS": "set_vcpu_events",
    "KVM_SET_GUEST_DEBUG": "set_guest_debug",
    "KVM_SET_SIGNAL_MASK": "",
    "KVM_SET_DEVICE_ATTR": "set_device_attr",
    "KVM_GET_DEVICE_ATTR": "",
    "KVM_HAS_DEVICE_ATTR": "has_device_attr",
    "KVM_GET_STATS_FD": "",
}
_DEVICE = {
    "KVM_SET_DEVICE_ATTR": "set_device_attr",
    "KVM_GET_DEVICE_ATTR": "get_device_attr",
    "KVM_HAS_DEVICE_ATTR": "has_device_attr",
}
#: The Rust crate's method for this call does not exist on aarch64.
_ENABLE = (
    "HALT_POLL", "MANUAL_DIRTY_LOG_PROTECT2", "DIRTY_LOG_RING_ACQ_REL",
    "DIRTY_LOG_RING_WITH_BITMAP", "ARM_NISV_TO_USER", "ARM_MTE", "ARM_SYSTEM_SUSPEND",
    "ARM_EAGER_SPLIT_CHUNK_SIZE", "ARM_WRITABLE_IMP_ID_REGS", "ARM_SEA_TO_USER",
)  # fmt: skip
#: By number and layout only, where the Rust crate has a set and a get or has.
_ATTRS = {
    "VGIC_V2": ("ADDR DIST", "ADDR CPU", "DIST_REGS", "CPU_REGS", "NR_IRQS", "CTRL INIT"),
    "VGIC_V3": (
        "ADDR DIST", "ADDR REDIST", "ADDR REDIST_REGION", "NR_IRQS", "CTRL INIT",
        "CTRL SAVE_PENDING_TABLES", "DIST_REGS", "REDIST_REGS", "CPU_SYSREGS", "LEVEL_INFO",
        "MAINT_IRQ",
    ),
    "VGIC_ITS": (
        "ADDR", "CTRL INIT", "CTRL SAVE_TABLES", "CTRL RESTORE_TABLES", "CTRL RESET", "ITS_REGS",
    ),
    "VGIC_V5": ("CTRL INIT", "CTRL USERSPACE_PPIS"),
    "VFIO": ("FILE_ADD", "FILE_DEL"),
    "VM": ("SMCCC_FILTER",),
    "VCPU": (
        "PMU IRQ", "PMU INIT", "PMU FILTER", "PMU SET_PMU", "PMU SET_NR_COUNTERS",
        "TIMER VTIMER", "TIMER PTIMER", "TIMER HVTIMER", "TIMER HPTIMER", "PVTIME IPA",
    ),
}  # fmt: skip
_REGS = {
    "CORE": "raw bytes",
    "DEMUX": "raw bytes",
    "SYSREG": "raw bytes",
    "FW": "raw bytes",
    "SVE": "raw bytes",
    "FW_FEAT_BMAP": "raw bytes",
}
_EXITS = {
    "UNKNOWN": "Unknown", "HYPERCALL": "Hypercall, without its flags", "DEBUG": "Debug",
    "MMIO": "MmioRead, MmioWrite", "FAIL_ENTRY": "FailEntry", "INTR": "Intr",
    "INTERNAL_ERROR": "InternalError", "SYSTEM_EVENT": "SystemEvent", "ARM_NISV": "",
    "DIRTY_RING_FULL": "", "MEMORY_FAULT": "MemoryFault", "ARM_SEA": "", "ARM_LDST64B": "",
}  # fmt: skip
_EVENTS = ("SHUTDOWN", "RESET", "CRASH", "WAKEUP", "SUSPEND")

_NO_GICV5 = "no emulator has a GICv5 with EL2"
_NO_SUCH_HOST = "no emulated host can raise it: the value is made of the kernel's bytes"
_NO_MEMORY_ERROR = "no emulated host has a memory error: older kernels' refusal is shown"
#: Rows that no emulated host serves, with the reason; their tests prove the refusal.
_MARKS = {
    "attr VGIC_V5 CTRL INIT": _NO_GICV5,
    "attr VGIC_V5 CTRL USERSPACE_PPIS": _NO_GICV5,
    "enable ARM_SEA_TO_USER": _NO_MEMORY_ERROR,
    "exit INTERNAL_ERROR": _NO_SUCH_HOST,
    "exit ARM_SEA": _NO_SUCH_HOST,
    "exit ARM_LDST64B": _NO_SUCH_HOST,
    "event CRASH": "arm64 never makes it: the value is made of the kernel's bytes",
    "cap DIRTY_LOG_RING": "always 0 on arm64",
}
#: Capabilities without a name in the Rust crate's enumeration.
_CAPS_NOT_IN_RUST = (
    "IOEVENTFD_ANY_LENGTH", "VCPU_ATTRIBUTES", "ARM_USER_IRQ", "ARM_INJECT_SERROR_ESR",
    "MANUAL_DIRTY_LOG_PROTECT2", "ARM_IRQ_LINE_LAYOUT_2", "ARM_NISV_TO_USER",
    "ARM_INJECT_EXT_DABT", "HALT_POLL", "STEAL_TIME", "SET_GUEST_DEBUG2", "PTP_KVM",
    "BINARY_STATS_FD", "ARM_MTE", "SYSTEM_EVENT_DATA", "ARM_SYSTEM_SUSPEND",
    "DIRTY_LOG_RING_ACQ_REL", "DIRTY_LOG_RING_WITH_BITMAP", "COUNTER_OFFSET",
    "ARM_EAGER_SPLIT_CHUNK_SIZE", "ARM_SUPPORTED_BLOCK_SIZES", "ARM_SUPPORTED_REG_MASK_RANGES",
    "ARM_WRITABLE_IMP_ID_REGS", "ARM_EL2", "ARM_EL2_E2H0", "ARM_CACHEABLE_PFNMAP_SUPPORTED",
    "GUEST_MEMFD_FLAGS", "ARM_SEA_TO_USER", "ARM_PMU_V3_STRICT",
)  # fmt: skip


def _rows() -> list[Row]:
    from pykvm import Cap

    made = [
        Row(section, name, rust)
        for section, names in (
            ("system", _SYSTEM), ("vm", _VM), ("vcpu", _VCPU), ("device", _DEVICE),
        )
        for name, rust in names.items()
    ]  # fmt: skip
    made += [Row("enable", name) for name in _ENABLE]
    made += [Row("attr", f"{of} {name}", "raw") for of, names in _ATTRS.items() for name in names]
    made += [Row("reg", name, rust) for name, rust in _REGS.items()]
    made += [Row("exit", name, rust) for name, rust in _EXITS.items()]
    made += [Row("event", name, "raw type") for name in _EVENTS]
    made += [
        Row("cap", cap.name, "raw number" if cap.name in _CAPS_NOT_IN_RUST else f"Cap::{cap.name}")
        for cap in Cap
    ]
    return [row._replace(mark=_MARKS.get(row.id, "")) for row in made]


ROWS = {row.id: row for row in _rows()}
