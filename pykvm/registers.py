# SPDX-License-Identifier: Apache-2.0
"""Register ids of KVM_GET_ONE_REG and KVM_SET_ONE_REG, and their names.

Names are in any case, and those of the Arm Architecture Reference Manual where it has one:

- core: ``x0`` to ``x30``, ``sp`` (SP_EL0), ``pc``, ``pstate``, ``sp_el1``, ``elr_el1``,
  ``spsr_el1`` and its AArch32 siblings, ``v0`` to ``v31``, ``fpsr``, ``fpcr``;
- system registers, such as ``MPIDR_EL1``; any other by its encoding, ``S3_0_C0_C0_5``. (By their
  encodings, CNTV_CVAL_EL0 and CNTVCT_EL0 are each other: the kernel's interface swapped them.)
- SVE: ``z0`` to ``z31``, ``p0`` to ``p15``, ``ffr``, and ``sve_vls``, whose bit n allows vectors
  of 128 * (n + 1) bits;
- ``ccsidr0`` to ``ccsidr13``: CCSIDR_EL1, by the value of CSSELR_EL1 that selects it;
- firmware: ``psci_version``, and ``smccc_arch_workaround_1`` to ``_3``;
- hypercalls of the VM, as bits: ``std_bmap`` (0: TRNG), ``std_hyp_bmap`` (0: stolen time),
  ``vendor_hyp_bmap`` (0: discovery, 1: PTP), ``vendor_hyp_bmap_2`` (0, 1: what CPUs the guest may
  meet).

Source: api.rst 4.68; Arm ARM, chapter D (system register encodings).
"""

from __future__ import annotations

import re

from pykvm._described import Described
from pykvm._descriptor import check_int
from pykvm._native import ffi, lib

__all__ = ["RegFamily", "reg_family", "reg_id", "reg_name", "reg_size", "sysreg"]

_SYSREG = re.compile(r"s([0-3])_([0-7])_c(\d{1,2})_c(\d{1,2})_([0-7])")
_SPSRS = ("spsr_el1", "spsr_abt", "spsr_und", "spsr_irq", "spsr_fiq")
_FIRMWARE = ("psci_version", *(f"smccc_arch_workaround_{n}" for n in (1, 2, 3)))
_BITMAPS = ("std_bmap", "std_hyp_bmap", "vendor_hyp_bmap", "vendor_hyp_bmap_2")
_CCSIDRS = 14


class RegFamily(Described):
    """What :func:`reg_family` tells registers by: bits 27:16 of the id."""

    CORE = 0x10, "General and vector registers, and what an exception saves."
    DEMUX = 0x11, "Several behind one encoding: CCSIDR_EL1, by the value of CSSELR_EL1."
    SYSREG = 0x13, "System registers."
    FW = 0x14, "What the guest's firmware, which is KVM, says of itself."
    SVE = 0x15, "Scalable vectors and predicates, and the lengths that the guest may choose."
    FW_FEAT_BMAP = 0x16, "Which hypercalls the guest is offered, one bit each."


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


def _core_registers() -> dict[str, int]:
    u32, u64, u128 = lib.KVM_REG_SIZE_U32, lib.KVM_REG_SIZE_U64, lib.KVM_REG_SIZE_U128
    table = {f"x{n}": _core(u64, "regs", "regs", n) for n in range(31)}
    table |= {name: _core(u64, "regs", name) for name in ("sp", "pc", "pstate")}
    table |= {name: _core(u64, name) for name in ("sp_el1", "elr_el1")}
    table |= {name: _core(u64, "spsr", n) for n, name in enumerate(_SPSRS)}
    table |= {f"v{n}": _core(u128, "fp_regs", "vregs", 16 * n) for n in range(32)}
    return table | {name: _core(u32, "fp_regs", name) for name in ("fpsr", "fpcr")}


def _system_registers() -> dict[str, int]:
    from pykvm.sysregs import encodings

    table = {name: sysreg(*encoding) for name, encoding in encodings()}
    table["cntv_cval_el0"] = lib.KVM_REG_ARM_TIMER_CVAL
    table["cntvct_el0"] = lib.KVM_REG_ARM_TIMER_CNT
    return table


def _sve_registers() -> dict[str, int]:
    """The first slice of each: the only one, as long as vectors have up to 2048 bits."""
    sve = lib.KVM_REG_ARM64 | lib.KVM_REG_ARM64_SVE
    wide = sve | lib.KVM_REG_SIZE_U2048 | lib.KVM_REG_ARM64_SVE_ZREG_BASE
    narrow = sve | lib.KVM_REG_SIZE_U256
    table = {f"z{n}": wide | n << 5 for n in range(32)}
    table |= {f"p{n}": narrow | lib.KVM_REG_ARM64_SVE_PREG_BASE | n << 5 for n in range(16)}
    return table | {
        "ffr": narrow | lib.KVM_REG_ARM64_SVE_FFR_BASE,
        "sve_vls": lib.KVM_REG_ARM64_SVE_VLS,
    }


def _other_registers() -> dict[str, int]:
    ccsidr = lib.KVM_REG_ARM64 | lib.KVM_REG_SIZE_U32 | lib.KVM_REG_ARM_DEMUX
    table = {f"ccsidr{n}": ccsidr | n for n in range(_CCSIDRS)}
    table |= {name: lib.KVM_REG_ARM_PSCI_VERSION + n for n, name in enumerate(_FIRMWARE)}
    return table | {name: lib.KVM_REG_ARM_STD_BMAP + n for n, name in enumerate(_BITMAPS)}


_ids: dict[str, int] = {}
_names: dict[int, str] = {}


def _tables() -> tuple[dict[str, int], dict[int, str]]:
    """Made when first asked for: `import pykvm` stays light."""
    if not _ids:
        table = _core_registers() | _system_registers() | _sve_registers() | _other_registers()
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


def reg_family(reg: int) -> RegFamily | int:
    """Which family the register of this id is of; a family that is none here is a plain int."""
    reg = check_int("reg", reg, 0, 2**64 - 1)
    family = (reg & lib.KVM_REG_ARM_COPROC_MASK) >> lib.KVM_REG_ARM_COPROC_SHIFT
    try:
        return RegFamily(family)
    except ValueError:
        return int(family)
