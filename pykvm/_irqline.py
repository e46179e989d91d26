# SPDX-License-Identifier: Apache-2.0
"""How arm64 packs type, vCPU and INTID into the number of KVM_IRQ_LINE."""

from __future__ import annotations

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm.routing import FIRST_SPI, LAST_SPI

__all__ = ["SPI", "check_level", "line_of", "line_of_cpu"]

#: KVM_ARM_IRQ_TYPE_SPI at its place.
SPI = 1 << 24


def line_of(intid: int, vcpu_id: int | None) -> int:
    """The packed number for an SPI or, with ``vcpu_id``, a PPI; or what is wrong with them."""
    intid = check_int("intid", intid, 0, 2**32 - 1)
    if vcpu_id is not None:
        return _ppi_line(intid, check_int("vcpu_id", vcpu_id, 0, 0xFFF))
    if 16 <= intid < FIRST_SPI:
        raise ValueError(f"intid {intid} is a PPI, private to one CPU: name its vcpu_id")
    if not FIRST_SPI <= intid <= LAST_SPI:
        raise ValueError(f"intid is {intid}; an SPI is {FIRST_SPI} to {LAST_SPI}")
    return intid | SPI


def _ppi_line(intid: int, vcpu_id: int) -> int:
    if not 16 <= intid <= 31:
        raise ValueError(f"intid is {intid}; with vcpu_id it must be a PPI, 16 to 31")
    return _packed(lib.KVM_ARM_IRQ_TYPE_PPI, vcpu_id, intid)


def line_of_cpu(vcpu_id: int, fiq: object) -> int:
    """The packed number for the IRQ input of a vCPU, or its FIQ input."""
    vcpu_id = check_int("vcpu_id", vcpu_id, 0, 0xFFF)
    number = lib.KVM_ARM_IRQ_CPU_FIQ if fiq else lib.KVM_ARM_IRQ_CPU_IRQ
    return _packed(lib.KVM_ARM_IRQ_TYPE_CPU, vcpu_id, number)


def _packed(kind: int, vcpu_id: int, number: int) -> int:
    return int(
        vcpu_id >> 8 << lib.KVM_ARM_IRQ_VCPU2_SHIFT
        | kind << lib.KVM_ARM_IRQ_TYPE_SHIFT
        | (vcpu_id & lib.KVM_ARM_IRQ_VCPU_MASK) << lib.KVM_ARM_IRQ_VCPU_SHIFT
        | number
    )


def check_level(level: int) -> int:
    """``level`` as 0 or 1."""
    return check_int("level", int(level) if isinstance(level, bool) else level, 0, 1)
