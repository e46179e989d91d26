# SPDX-License-Identifier: Apache-2.0
"""Names and ids of registers.

The expected ids are composed by hand from api.rst 4.68: arm64 is 0x60 << 56, the size's logarithm
is << 52, core registers count 32-bit words of struct kvm_regs from 0x100000.
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest
from guests import words
from guests.build import toolchain_prefix

from pykvm import RegFamily, reg_family, reg_id, reg_name, reg_size, sysreg
from pykvm.sysregs import encodings

#: Of what the assembler is told to know.
ARCH = "armv8.8-a+sve+memtag+profile"
CORE_U32 = 0x6020000000100000
CORE_U64 = 0x6030000000100000
CORE_U128 = 0x6040000000100000
SYSREG = 0x6030000000130000
DEMUX = 0x6020000000110000
FIRMWARE = 0x6030000000140000


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
        ("dbgbvr0_el1", SYSREG | 0x8004, 8),
        ("dbgwcr15_el1", SYSREG | 0x807F, 8),
        ("pmevcntr30_el0", SYSREG | 0xDF5E, 8),
        ("pmevtyper8_el0", SYSREG | 0xDF68, 8),
        ("dacr32_el2", SYSREG | 0xE180, 8),
        ("ich_lr15_el2", SYSREG | 0xE66F, 8),
        ("sp_el2", SYSREG | 0xF208, 8),
        ("apgakeyhi_el1", SYSREG | 0xC119, 8),
        ("ccsidr13", DEMUX | 13, 4),
        ("psci_version", FIRMWARE, 8),
        ("smccc_arch_workaround_3", FIRMWARE | 3, 8),
        ("std_bmap", FIRMWARE | 0x20000, 8),
        ("vendor_hyp_bmap_2", FIRMWARE | 0x20003, 8),
        ("z1", 0x6080000000150020, 256),
        ("z31", 0x60800000001503E0, 256),
        ("p15", 0x60500000001505E0, 32),
        ("ffr", 0x6050000000150600, 32),
        ("sve_vls", 0x606000000015FFFF, 64),
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


@pytest.mark.parametrize("number", [0, 5, 2**64 - 1, 0x6030000000140004, 0x6080000000150001])
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


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("v5", RegFamily.CORE),
        ("ccsidr2", RegFamily.DEMUX),
        ("cntvct_el0", RegFamily.SYSREG),
        ("psci_version", RegFamily.FW),
        ("ffr", RegFamily.SVE),
        ("std_hyp_bmap", RegFamily.FW_FEAT_BMAP),
    ],
)
def test_families(name: str, family: RegFamily) -> None:
    assert reg_family(reg_id(name)) is family


def test_a_family_that_is_none_is_a_number() -> None:
    assert reg_family(0x6030000000170000) == 0x17
    assert reg_family(0) == 0


@pytest.mark.needs("arm64_assembler")
def test_encodings_are_the_assemblers(tmp_path: Path) -> None:
    """It knows the architecture by itself; younger registers than it are left out."""
    source, flat = tmp_path / "names.S", tmp_path / "names.bin"
    tools = toolchain_prefix()
    known = dict(encodings())
    for _ in range(2):  # the second time without the names that the first one was told of
        source.write_text(f".arch {ARCH}\n" + "".join(f"mrs x0, {name}\n" for name in known))
        run = subprocess.run(
            [f"{tools}gcc", "-c", "-o", str(tmp_path / "names.o"), str(source)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for line in re.findall(r"names\.S:(\d+): Error: ", run.stderr):
            known.pop(list(dict(encodings()))[int(line) - 2], None)
    subprocess.run([f"{tools}objcopy", "-O", "binary", tmp_path / "names.o", flat], check=True)
    made = struct.unpack(f"<{len(known)}I", flat.read_bytes())
    assert dict(zip(known, made, strict=True)) == {n: words.mrs(0, e) for n, e in known.items()}
    assert len(known) > 250
