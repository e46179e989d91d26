# SPDX-License-Identifier: Apache-2.0
"""Names and ids of registers.

The expected ids are composed by hand from api.rst 4.68: arm64 is 0x60 << 56, the size's logarithm
is << 52, core registers count 32-bit words of struct kvm_regs from 0x100000.
"""

from __future__ import annotations

import pytest

from pykvm import reg_id, reg_name, reg_size, sysreg

CORE_U32 = 0x6020000000100000
CORE_U64 = 0x6030000000100000
CORE_U128 = 0x6040000000100000
SYSREG = 0x6030000000130000


@pytest.mark.parametrize(
    ("name", "number", "size"),
    [
        ("x0", CORE_U64, 8),
        ("x1", CORE_U64 + 2, 8),
        ("x30", CORE_U64 + 60, 8),
        ("sp", CORE_U64 + 62, 8),
        ("pc", CORE_U64 + 64, 8),
        ("pstate", CORE_U64 + 66, 8),
        ("sp_el1", CORE_U64 + 68, 8),
        ("elr_el1", CORE_U64 + 70, 8),
        ("spsr_el1", CORE_U64 + 72, 8),
        ("spsr_fiq", CORE_U64 + 80, 8),
        ("v0", CORE_U128 + 84, 16),  # behind 8 bytes of padding: 336 bytes from the start
        ("v31", CORE_U128 + 84 + 31 * 4, 16),
        ("fpsr", CORE_U32 + 212, 4),
        ("fpcr", CORE_U32 + 213, 4),
        ("mpidr_el1", SYSREG | 0xC005, 8),
        ("sctlr_el1", SYSREG | 0xC080, 8),
        ("vbar_el1", SYSREG | 0xC600, 8),
        ("cntv_ctl_el0", SYSREG | 0xDF19, 8),
        ("cntv_cval_el0", SYSREG | 0xDF02, 8),  # these two are swapped in the kernel's interface
        ("cntvct_el0", SYSREG | 0xDF1A, 8),
    ],
)
def test_ids(name: str, number: int, size: int) -> None:
    assert reg_id(name) == reg_id(name.upper()) == number
    assert reg_name(number) == name
    assert reg_size(number) == size


def test_an_id_is_returned_as_it_is() -> None:
    assert reg_id(CORE_U64) == CORE_U64
    assert reg_id(0) == 0
    assert reg_id(2**64 - 1) == 2**64 - 1


def test_encodings() -> None:
    assert sysreg(3, 0, 0, 0, 5) == reg_id("MPIDR_EL1") == reg_id("S3_0_C0_C0_5")
    assert reg_id("s3_7_c15_c15_7") == sysreg(3, 7, 15, 15, 7) == SYSREG | 0xFFFF
    assert reg_name(sysreg(3, 7, 15, 15, 7)) == "s3_7_c15_c15_7"
    assert reg_id(reg_name(sysreg(2, 1, 9, 3, 4))) == sysreg(2, 1, 9, 3, 4)


@pytest.mark.parametrize("number", [0, 5, 2**64 - 1, 0x6030000000140000, 0x603000000013FFFF + 1])
def test_ids_without_a_name_show_as_numbers(number: int) -> None:
    assert reg_name(number) == f"{number:#x}"


@pytest.mark.parametrize("name", ["", "x31", "x-1", "v32", "pc ", "s4_0_c0_c0_0", "s3_0_c0_c0_8"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match="no register is called"):
        reg_id(name)


@pytest.mark.parametrize("name", ["s3_0_c16_c0_0", "s3_0_c0_c99_0"])
def test_operands_out_of_range(name: str) -> None:
    with pytest.raises(ValueError, match=r"cr[nm] is 0x\w+; it must be 0x0 to 0xf"):
        reg_id(name)


def test_every_name_has_an_id_of_its_own() -> None:
    from pykvm.registers import _tables

    ids, names = _tables()
    assert len(ids) == len(names) > 100
    assert all(reg_name(number) == name for name, number in ids.items())


@pytest.mark.parametrize(("log", "size"), [(0, 1), (2, 4), (3, 8), (5, 32), (8, 256), (9, 512)])
def test_sizes(log: int, size: int) -> None:
    assert reg_size(0x6000000000000000 | log << 52) == size
