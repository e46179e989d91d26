# SPDX-License-Identifier: Apache-2.0
"""Which traced calls belong to a row: the kind of descriptor, the request, what it was about."""

from __future__ import annotations

import errno
from collections.abc import Collection
from typing import NamedTuple

from pykvm import Cap
from pykvm._native import lib
from tests.coverage.rows import ROWS
from tests.coverage.trace import SYSTEM, VCPU, VM, Call

__all__ = ["Pattern", "pattern", "pattern_of_refusal", "proven"]

_GICS = {"VGIC_V2": "kvm-arm-vgic-v2", "VGIC_V3": "kvm-arm-vgic-v3", "VGIC_ITS": "kvm-arm-vgic-its"}
_DEVICES = {**_GICS, "VGIC_V5": "kvm-arm-vgic-v5", "VFIO": "kvm-vfio", "VM": VM, "VCPU": VCPU}
_ATTR_CALLS = ("KVM_SET_DEVICE_ATTR", "KVM_GET_DEVICE_ATTR")


class Pattern(NamedTuple):
    """Any of these calls, on a descriptor of any of these kinds, about this (None: anything)."""

    kinds: tuple[str, ...]
    numbers: tuple[int, ...]
    key: int | None = None

    def fits(self, call: Call) -> bool:
        return (
            call.kind in self.kinds
            and call.number in self.numbers
            and (self.key is None or call.key == self.key or self._is_event_of(call))
        )

    def _is_event_of(self, call: Call) -> bool:
        """An exit's row takes all its kinds."""
        return call.number == lib.KVM_RUN and call.key & 0xFFFF_FFFF == self.key


def _numbers(*names: str) -> tuple[int, ...]:
    return tuple(getattr(lib, name) for name in names)


def _attribute(name: str) -> Pattern:
    device, _, attribute = name.partition(" ")
    group, attr = _ATTRIBUTES[device][attribute]
    number = getattr(lib, group) if isinstance(group, str) else group
    key = number << 32 | (getattr(lib, attr) if isinstance(attr, str) else attr)
    return Pattern((_DEVICES[device],), _numbers(*_ATTR_CALLS), key)


def pattern(row: str) -> Pattern:
    """The calls of a row."""
    section, _, name = row.partition(" ")
    match section:
        case "system":
            return Pattern((SYSTEM,), _numbers(name))
        case "vm":
            return Pattern((VM,), _numbers(name))
        case "vcpu":
            return Pattern((VCPU,), _numbers(name))
        case "device":
            return Pattern((*_GICS.values(), "kvm-vfio"), _numbers(name))
        case "enable":
            return Pattern((VM,), _numbers("KVM_ENABLE_CAP"), int(Cap[name]))
        case "cap":
            return Pattern((SYSTEM, VM), _numbers("KVM_CHECK_EXTENSION"), int(Cap[name]))
        case "reg":
            family = f"KVM_REG_{'ARM64' if name in ('SYSREG', 'SVE') else 'ARM'}_{name}"
            numbers = _numbers("KVM_GET_ONE_REG", "KVM_SET_ONE_REG")
            return Pattern((VCPU,), numbers, getattr(lib, family))
        case "exit":
            return Pattern((VCPU,), _numbers("KVM_RUN"), getattr(lib, f"KVM_EXIT_{name}"))
        case "event":
            event = getattr(lib, f"KVM_SYSTEM_EVENT_{name}")
            return Pattern((VCPU,), _numbers("KVM_RUN"), lib.KVM_EXIT_SYSTEM_EVENT | event << 32)
        case "attr":
            return _attribute(name)
    raise ValueError(f"{row!r} is in no section")


def pattern_of_refusal(row: str) -> Pattern:
    """The calls by which a host refuses a row."""
    if row.startswith("attr VGIC_V5"):
        # Without the device there is no descriptor to call: its making is what is refused.
        return Pattern((VM,), _numbers("KVM_CREATE_DEVICE"), lib.KVM_DEV_TYPE_ARM_VGIC_V5)
    return pattern(row)


def proven(row: str, refused: str, seen: Collection[Call]) -> bool:
    """Whether these calls have one of the row's, ended as it should have."""
    if refused:
        wanted = -getattr(errno, refused)
        return any(call.outcome == wanted for call in seen if pattern_of_refusal(row).fits(call))
    least = 1 if ROWS[row].section == "cap" and not ROWS[row].mark else 0
    return any(call.outcome >= least for call in seen if pattern(row).fits(call))


_ADDR, _CTRL = "KVM_DEV_ARM_VGIC_GRP_ADDR", "KVM_DEV_ARM_VGIC_GRP_CTRL"
_INIT = "KVM_DEV_ARM_VGIC_CTRL_INIT"
_DIST = ("KVM_DEV_ARM_VGIC_GRP_DIST_REGS", 0)
_NR_IRQS = ("KVM_DEV_ARM_VGIC_GRP_NR_IRQS", 0)

#: Group and attribute, as names of cdefs/; groups of registers count as one attribute, 0.
_ATTRIBUTES: dict[str, dict[str, tuple[str | int, str | int]]] = {
    "VGIC_V2": {
        "ADDR DIST": (_ADDR, "KVM_VGIC_V2_ADDR_TYPE_DIST"),
        "ADDR CPU": (_ADDR, "KVM_VGIC_V2_ADDR_TYPE_CPU"),
        "DIST_REGS": _DIST,
        "CPU_REGS": ("KVM_DEV_ARM_VGIC_GRP_CPU_REGS", 0),
        "NR_IRQS": _NR_IRQS,
        "CTRL INIT": (_CTRL, _INIT),
    },
    "VGIC_V3": {
        "ADDR DIST": (_ADDR, "KVM_VGIC_V3_ADDR_TYPE_DIST"),
        "ADDR REDIST": (_ADDR, "KVM_VGIC_V3_ADDR_TYPE_REDIST"),
        "ADDR REDIST_REGION": (_ADDR, "KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION"),
        "NR_IRQS": _NR_IRQS,
        "CTRL INIT": (_CTRL, _INIT),
        "CTRL SAVE_PENDING_TABLES": (_CTRL, "KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES"),
        "DIST_REGS": _DIST,
        "REDIST_REGS": ("KVM_DEV_ARM_VGIC_GRP_REDIST_REGS", 0),
        "CPU_SYSREGS": ("KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS", 0),
        "LEVEL_INFO": ("KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO", 0),
        "MAINT_IRQ": ("KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ", 0),
    },
    "VGIC_ITS": {
        "ADDR": (_ADDR, "KVM_VGIC_ITS_ADDR_TYPE"),
        "CTRL INIT": (_CTRL, _INIT),
        "CTRL SAVE_TABLES": (_CTRL, "KVM_DEV_ARM_ITS_SAVE_TABLES"),
        "CTRL RESTORE_TABLES": (_CTRL, "KVM_DEV_ARM_ITS_RESTORE_TABLES"),
        "CTRL RESET": (_CTRL, "KVM_DEV_ARM_ITS_CTRL_RESET"),
        "ITS_REGS": ("KVM_DEV_ARM_VGIC_GRP_ITS_REGS", 0),
    },
    "VGIC_V5": {"CTRL INIT": (_CTRL, _INIT), "CTRL USERSPACE_PPIS": (_CTRL, 5)},
    "VFIO": {
        "FILE_ADD": ("KVM_DEV_VFIO_FILE", "KVM_DEV_VFIO_FILE_ADD"),
        "FILE_DEL": ("KVM_DEV_VFIO_FILE", "KVM_DEV_VFIO_FILE_DEL"),
    },
    "VM": {"SMCCC_FILTER": ("KVM_ARM_VM_SMCCC_CTRL", "KVM_ARM_VM_SMCCC_FILTER")},
    "VCPU": {
        "PMU IRQ": ("KVM_ARM_VCPU_PMU_V3_CTRL", "KVM_ARM_VCPU_PMU_V3_IRQ"),
        "PMU INIT": ("KVM_ARM_VCPU_PMU_V3_CTRL", "KVM_ARM_VCPU_PMU_V3_INIT"),
        "PMU FILTER": ("KVM_ARM_VCPU_PMU_V3_CTRL", "KVM_ARM_VCPU_PMU_V3_FILTER"),
        "PMU SET_PMU": ("KVM_ARM_VCPU_PMU_V3_CTRL", "KVM_ARM_VCPU_PMU_V3_SET_PMU"),
        "PMU SET_NR_COUNTERS": ("KVM_ARM_VCPU_PMU_V3_CTRL", "KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS"),
        "TIMER VTIMER": ("KVM_ARM_VCPU_TIMER_CTRL", "KVM_ARM_VCPU_TIMER_IRQ_VTIMER"),
        "TIMER PTIMER": ("KVM_ARM_VCPU_TIMER_CTRL", "KVM_ARM_VCPU_TIMER_IRQ_PTIMER"),
        "TIMER HVTIMER": ("KVM_ARM_VCPU_TIMER_CTRL", "KVM_ARM_VCPU_TIMER_IRQ_HVTIMER"),
        "TIMER HPTIMER": ("KVM_ARM_VCPU_TIMER_CTRL", "KVM_ARM_VCPU_TIMER_IRQ_HPTIMER"),
        "PVTIME IPA": ("KVM_ARM_VCPU_PVTIME_CTRL", "KVM_ARM_VCPU_PVTIME_IPA"),
    },
}
