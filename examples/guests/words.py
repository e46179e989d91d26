# SPDX-License-Identifier: Apache-2.0
"""Instructions as 32-bit words, for the few that the guest `execute` is given at run time.

What is longer than a handful belongs into a guest of its own. Registers are numbers, 31 is XZR.
Source: Arm ARM, chapter C6.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = [
    "DSB_SY", "ERET", "ISB", "NOP", "RET", "WFI", "brk", "code", "hvc", "ldr", "ldr_w", "mov",
    "mrs", "msr", "smc", "str_", "str_w", "unmask",
]  # fmt: skip

Sysreg = tuple[int, int, int, int, int]

NOP: Final = 0xD503201F
WFI: Final = 0xD503207F
ISB: Final = 0xD5033FDF
DSB_SY: Final = 0xD5033F9F
RET: Final = 0xD65F03C0
ERET: Final = 0xD69F03E0


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


def ldr(register: int, base: int, offset: int = 0) -> int:
    """``ldr x<register>, [x<base>, #offset]``."""
    return 0xF9400000 | offset // 8 << 10 | base << 5 | register


def str_(register: int, base: int, offset: int = 0) -> int:
    """``str x<register>, [x<base>, #offset]``."""
    return 0xF9000000 | offset // 8 << 10 | base << 5 | register


def ldr_w(register: int, base: int, offset: int = 0) -> int:
    """``ldr w<register>, [x<base>, #offset]``."""
    return 0xB9400000 | offset // 4 << 10 | base << 5 | register


def str_w(register: int, base: int, offset: int = 0) -> int:
    """``str w<register>, [x<base>, #offset]``."""
    return 0xB9000000 | offset // 4 << 10 | base << 5 | register


def unmask(bits: int) -> int:
    """``msr daifclr, #bits``: 8 debug, 4 SError, 2 IRQ, 1 FIQ."""
    return 0xD50340FF | bits << 8
