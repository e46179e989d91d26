# SPDX-License-Identifier: Apache-2.0
"""ID registers, decoded."""

from __future__ import annotations

from pykvm.errors import KvmError
from pykvm.probe.idfields import layouts
from pykvm.probe.report import Field, Register
from pykvm.registers import reg_name
from pykvm.vcpu import Vcpu
from pykvm.vm import VM

__all__ = ["decode", "id_registers"]

#: op0, op1 and CRn of what KVM calls feature ID registers: 3, {0, 1, 3}, 0; the rest of an id.
_SYSREG = 0x6030_0000_0013_0000
_OP1 = (0, 1, 3)
#: What says who a vCPU is, or which cache it asks about, is no feature.
_NOT_FEATURES = ("mpidr_el1", "dczid_el0")


def id_registers(vm: VM, vcpu: Vcpu) -> tuple[Register, ...]:
    """Every ID register that KVM lists for this vCPU, in the order of their encodings."""
    try:
        masks = vm.arm_get_reg_writable_masks()
    except KvmError:
        masks = None  # an older kernel, or one that may not be asked; facts tell
    ids = sorted(number for number in vcpu.get_reg_list() if _is_id(number))
    return tuple(
        decode(number, vcpu.get_one_reg(number), None if masks is None else masks.get(number, 0))
        for number in ids
    )


def _is_id(number: int) -> bool:
    if number & ~0xFFFF != _SYSREG or reg_name(number) in _NOT_FEATURES:
        return False
    return number >> 14 & 3 == 3 and number >> 11 & 7 in _OP1 and not number >> 7 & 15


def decode(number: int, value: int, writable: int | None) -> Register:
    """A register's value by its fields; fields that are not known here are left out."""
    name = reg_name(number)
    fields = tuple(
        Field(
            label, lsb, width, part := value >> lsb & (1 << width) - 1, values.get(part, ""),
            (writable or 0) & (1 << width) - 1 << lsb,
        )
        for lsb, width, label, values in layouts().get(name, ())
    )  # fmt: skip
    return Register(name, number, value, writable, fields)
