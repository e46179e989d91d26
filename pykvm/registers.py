# SPDX-License-Identifier: Apache-2.0
"""Register ids of KVM_GET_ONE_REG and KVM_SET_ONE_REG, and their names.

Names are those of the Arm Architecture Reference Manual, in any case: ``x0`` to ``x30``, ``sp``
(SP_EL0), ``pc``, ``pstate``, ``sp_el1``, ``elr_el1``, ``spsr_el1`` and its AArch32 siblings,
``v0`` to ``v31``, ``fpsr``, ``fpcr``, system registers such as ``MPIDR_EL1``, and for any other the
form of its encoding, ``S3_0_C0_C0_5``.

Source: api.rst 4.68; Arm ARM, chapter D (system register encodings).
"""

from __future__ import annotations

import re

from pykvm._descriptor import check_int
from pykvm._native import ffi, lib

__all__ = ["reg_id", "reg_name", "reg_size", "sysreg"]

_SYSREG = re.compile(r"s([0-3])_([0-7])_c(\d{1,2})_c(\d{1,2})_([0-7])")

#: op0, op1, CRn, CRm, op2.
_ENCODINGS: dict[str, tuple[int, int, int, int, int]] = {
    "midr_el1": (3, 0, 0, 0, 0),
    "mpidr_el1": (3, 0, 0, 0, 5),
    "revidr_el1": (3, 0, 0, 0, 6),
    "id_aa64pfr0_el1": (3, 0, 0, 4, 0),
    "id_aa64pfr1_el1": (3, 0, 0, 4, 1),
    "id_aa64zfr0_el1": (3, 0, 0, 4, 4),
    "id_aa64dfr0_el1": (3, 0, 0, 5, 0),
    "id_aa64dfr1_el1": (3, 0, 0, 5, 1),
    "id_aa64isar0_el1": (3, 0, 0, 6, 0),
    "id_aa64isar1_el1": (3, 0, 0, 6, 1),
    "id_aa64isar2_el1": (3, 0, 0, 6, 2),
    "id_aa64mmfr0_el1": (3, 0, 0, 7, 0),
    "id_aa64mmfr1_el1": (3, 0, 0, 7, 1),
    "id_aa64mmfr2_el1": (3, 0, 0, 7, 2),
    "sctlr_el1": (3, 0, 1, 0, 0),
    "actlr_el1": (3, 0, 1, 0, 1),
    "cpacr_el1": (3, 0, 1, 0, 2),
    "ttbr0_el1": (3, 0, 2, 0, 0),
    "ttbr1_el1": (3, 0, 2, 0, 1),
    "tcr_el1": (3, 0, 2, 0, 2),
    "afsr0_el1": (3, 0, 5, 1, 0),
    "afsr1_el1": (3, 0, 5, 1, 1),
    "esr_el1": (3, 0, 5, 2, 0),
    "far_el1": (3, 0, 6, 0, 0),
    "par_el1": (3, 0, 7, 4, 0),
    "mair_el1": (3, 0, 10, 2, 0),
    "amair_el1": (3, 0, 10, 3, 0),
    "vbar_el1": (3, 0, 12, 0, 0),
    "contextidr_el1": (3, 0, 13, 0, 1),
    "tpidr_el1": (3, 0, 13, 0, 4),
    "cntkctl_el1": (3, 0, 14, 1, 0),
    "clidr_el1": (3, 1, 0, 0, 1),
    "csselr_el1": (3, 2, 0, 0, 0),
    "ctr_el0": (3, 3, 0, 0, 1),
    "tpidr_el0": (3, 3, 13, 0, 2),
    "tpidrro_el0": (3, 3, 13, 0, 3),
    "cntp_ctl_el0": (3, 3, 14, 2, 1),
    "cntp_cval_el0": (3, 3, 14, 2, 2),
    "cntv_ctl_el0": (3, 3, 14, 3, 1),
}

_SPSRS = ("spsr_el1", "spsr_abt", "spsr_und", "spsr_irq", "spsr_fiq")


def sysreg(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """The id of a system register from the operands of its MRS encoding."""
    op0 = check_int("op0", op0, 0, 3)
    op1 = check_int("op1", op1, 0, 7)
    crn = check_int("crn", crn, 0, 15)
    crm = check_int("crm", crm, 0, 15)
    op2 = check_int("op2", op2, 0, 7)
    return int(
        lib.KVM_REG_ARM64
        | lib.KVM_REG_SIZE_U64
        | lib.KVM_REG_ARM64_SYSREG
        | op0 << lib.KVM_REG_ARM64_SYSREG_OP0_SHIFT
        | op1 << lib.KVM_REG_ARM64_SYSREG_OP1_SHIFT
        | crn << lib.KVM_REG_ARM64_SYSREG_CRN_SHIFT
        | crm << lib.KVM_REG_ARM64_SYSREG_CRM_SHIFT
        | op2 << lib.KVM_REG_ARM64_SYSREG_OP2_SHIFT
    )


def _core(size: int, *path: object) -> int:
    """The id of a member of kvm_regs."""
    offset = ffi.offsetof("struct kvm_regs", *path)
    return int(lib.KVM_REG_ARM64 | size | lib.KVM_REG_ARM_CORE | offset // 4)


def _make_table() -> dict[str, int]:
    u32, u64, u128 = lib.KVM_REG_SIZE_U32, lib.KVM_REG_SIZE_U64, lib.KVM_REG_SIZE_U128
    table = {f"x{n}": _core(u64, "regs", "regs", n) for n in range(31)}
    table |= {name: _core(u64, "regs", name) for name in ("sp", "pc", "pstate")}
    table |= {name: _core(u64, name) for name in ("sp_el1", "elr_el1")}
    table |= {name: _core(u64, "spsr", n) for n, name in enumerate(_SPSRS)}
    table |= {f"v{n}": _core(u128, "fp_regs", "vregs", 16 * n) for n in range(32)}
    table |= {name: _core(u32, "fp_regs", name) for name in ("fpsr", "fpcr")}
    table |= {name: sysreg(*encoding) for name, encoding in _ENCODINGS.items()}
    # By their encodings these two would be each other: the kernel's interface swapped them.
    table["cntv_cval_el0"] = lib.KVM_REG_ARM_TIMER_CVAL
    table["cntvct_el0"] = lib.KVM_REG_ARM_TIMER_CNT
    return table


_ids: dict[str, int] = {}
_names: dict[int, str] = {}


def _tables() -> tuple[dict[str, int], dict[int, str]]:
    if not _ids:
        table = _make_table()
        _names.update({number: name for name, number in table.items()})
        _ids.update(table)
    return _ids, _names


def reg_id(reg: int | str) -> int:
    """The id of a register from its name; an id is returned as it is. ValueError: no such name."""
    if isinstance(reg, str):
        name = reg.lower()
        if (found := _tables()[0].get(name)) is not None:
            return found
        if match := _SYSREG.fullmatch(name):
            return sysreg(*map(int, match.groups()))
        raise ValueError(
            f"no register is called {reg!r} here; any system register can be named by its "
            f"encoding, as S3_0_C0_C0_5"
        )
    return check_int("reg", reg, 0, 2**64 - 1)


def reg_name(reg: int) -> str:
    """A register's name, or the form of its encoding, or its id in hexadecimal."""
    reg = check_int("reg", reg, 0, 2**64 - 1)
    if name := _tables()[1].get(reg):
        return name
    family = lib.KVM_REG_ARM64 | lib.KVM_REG_SIZE_U64 | lib.KVM_REG_ARM64_SYSREG
    if reg & ~0xFFFF == family:
        return f"s{reg >> 14 & 3}_{reg >> 11 & 7}_c{reg >> 7 & 15}_c{reg >> 3 & 15}_{reg & 7}"
    return f"{reg:#x}"


def reg_size(reg: int) -> int:
    """How many bytes the register of this id has."""
    reg = check_int("reg", reg, 0, 2**64 - 1)
    return 1 << ((reg & lib.KVM_REG_SIZE_MASK) >> lib.KVM_REG_SIZE_SHIFT)
