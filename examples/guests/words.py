# SPDX-License-Identifier: Apache-2.0
"""Instructions as 32-bit words, for the few that the guest `execute` is given at run time.

What is longer than a handful belongs into a guest of its own. Registers are numbers, 31 is XZR.
Source: Arm ARM, chapter C6.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = [
    "DSB_SY", "ERET", "ISB", "NOP", "RET", "SPIN", "TLBI_VMALLE1", "WFI", "add", "add_x", "brk",
    "cbnz", "code", "hvc", "ldg", "ldp", "ldr", "ldr_w", "mask", "mov", "mrs", "msr", "orr",
    "pacga", "pacia", "rdffr", "rdvl", "smc", "stg", "str_", "str_p", "str_q", "str_w",
    "str_z", "unmask",
]  # fmt: skip

Sysreg = tuple[int, int, int, int, int]

NOP: Final = 0xD503201F
WFI: Final = 0xD503207F
ISB: Final = 0xD5033FDF
DSB_SY: Final = 0xD5033F9F
RET: Final = 0xD65F03C0
ERET: Final = 0xD69F03E0
SPIN: Final = 0x14000000  # b .
TLBI_VMALLE1: Final = 0xD508871F


def code(*words: int) -> bytes:
    """The function of these instructions, with its RET."""
    return struct.pack(f"<{len(words) + 1}I", *words, RET)


def mrs(register: int, sysreg: Sysreg) -> int:
    """``mrs x<register>, S<op0>_<op1>_C<CRn>_C<CRm>_<op2>``."""
    return 0xD5200000 | _encoded(sysreg) | register


def msr(sysreg: Sysreg, register: int) -> int:
    """``msr S<op0>_<op1>_C<CRn>_C<CRm>_<op2>, x<register>``."""
    return 0xD5000000 | _encoded(sysreg) | register


def _encoded(sysreg: Sysreg) -> int:
    op0, op1, crn, crm, op2 = sysreg
    return op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5


def hvc(number: int = 0) -> int:
    """``hvc #number``."""
    return 0xD4000002 | number << 5


def smc(number: int = 0) -> int:
    """``smc #number``."""
    return 0xD4000003 | number << 5


def brk(number: int = 0) -> int:
    """``brk #number``."""
    return 0xD4200000 | number << 5


def mov(register: int, source: int) -> int:
    """``mov x<register>, x<source>``."""
    return 0xAA0003E0 | source << 16 | register


def orr(register: int, first: int, second: int) -> int:
    """``orr x<register>, x<first>, x<second>``."""
    return 0xAA000000 | second << 16 | first << 5 | register


def add(register: int, source: int, number: int) -> int:
    """``add x<register>, x<source>, #number``."""
    return 0x91000000 | number << 10 | source << 5 | register


def add_x(register: int, first: int, second: int) -> int:
    """``add x<register>, x<first>, x<second>``."""
    return 0x8B000000 | second << 16 | first << 5 | register


def cbnz(register: int, words: int) -> int:
    """``cbnz x<register>, .+4*words``: back where ``words`` is negative."""
    return 0xB5000000 | (words & 0x7FFFF) << 5 | register


def stg(tagged: int, base: int) -> int:
    """``stg x<tagged>, [x<base>]``: the 16 bytes get the tag in bits 59:56 of ``tagged``."""
    return 0xD9200800 | base << 5 | tagged


def ldg(register: int, base: int) -> int:
    """``ldg x<register>, [x<base>]``: bits 59:56 become the tag of the 16 bytes."""
    return 0xD9600000 | base << 5 | register


def ldr(register: int, base: int, offset: int = 0) -> int:
    """``ldr x<register>, [x<base>, #offset]``."""
    return 0xF9400000 | offset // 8 << 10 | base << 5 | register


def ldp(first: int, second: int, base: int) -> int:
    """``ldp x<first>, x<second>, [x<base>]``: an access that hardware does not describe to KVM."""
    return 0xA9400000 | second << 10 | base << 5 | first


def str_(register: int, base: int, offset: int = 0) -> int:
    """``str x<register>, [x<base>, #offset]``."""
    return 0xF9000000 | offset // 8 << 10 | base << 5 | register


def mask(bits: int) -> int:
    """``msr daifset, #bits``, as :func:`unmask`."""
    return 0xD50340DF | bits << 8


def ldr_w(register: int, base: int, offset: int = 0) -> int:
    """``ldr w<register>, [x<base>, #offset]``."""
    return 0xB9400000 | offset // 4 << 10 | base << 5 | register


def str_w(register: int, base: int, offset: int = 0) -> int:
    """``str w<register>, [x<base>, #offset]``."""
    return 0xB9000000 | offset // 4 << 10 | base << 5 | register


def unmask(bits: int) -> int:
    """``msr daifclr, #bits``: 8 debug, 4 SError, 2 IRQ, 1 FIQ."""
    return 0xD50340FF | bits << 8


def str_q(vector: int, base: int) -> int:
    """``str q<vector>, [x<base>]``."""
    return 0x3D800000 | base << 5 | vector


def str_z(vector: int, base: int) -> int:
    """``str z<vector>, [x<base>]``."""
    return 0xE5804000 | base << 5 | vector


def str_p(predicate: int, base: int) -> int:
    """``str p<predicate>, [x<base>]``."""
    return 0xE5800000 | base << 5 | predicate


def rdffr(predicate: int) -> int:
    """``rdffr p<predicate>.b``."""
    return 0x2519F000 | predicate


def rdvl(register: int) -> int:
    """``rdvl x<register>, #1``: bytes of a vector."""
    return 0x04BF5020 | register


def pacia(register: int, modifier: int) -> int:
    """``pacia x<register>, x<modifier>``."""
    return 0xDAC10000 | modifier << 5 | register


def pacga(register: int, source: int, modifier: int) -> int:
    """``pacga x<register>, x<source>, x<modifier>``."""
    return 0x9AC03000 | modifier << 16 | source << 5 | register
