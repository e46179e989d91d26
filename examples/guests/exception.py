# SPDX-License-Identifier: Apache-2.0
"""An exception that a guest did not expect, in words: those of the Arm ARM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from guests import layout

_KINDS: Final = ("synchronous exception", "IRQ", "FIQ", "SError")
_ORIGINS: Final = (
    "EL1 using SP_EL0",
    "EL1 using SP_EL1",
    "a lower EL in AArch64",
    "a lower EL in AArch32",
)

_INSTRUCTION_ABORT: Final = 0x21
_DATA_ABORT: Final = 0x25
_CLASSES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x00: "undefined instruction, or unknown reason",
        0x01: "trapped WFI or WFE",
        0x07: "trapped SIMD, floating-point or SVE",
        0x0E: "illegal execution state",
        0x15: "SVC",
        0x16: "HVC",
        0x17: "SMC",
        0x18: "trapped system register or instruction",
        _INSTRUCTION_ABORT: "instruction abort",
        0x22: "PC alignment fault",
        _DATA_ABORT: "data abort",
        0x26: "SP alignment fault",
        0x2F: "SError",
        0x31: "hardware breakpoint",
        0x33: "software step",
        0x35: "watchpoint",
        0x3C: "BRK instruction",
    }
)
_CLASSES_WITH_FAR: Final = frozenset({_INSTRUCTION_ABORT, 0x22, _DATA_ABORT, 0x35})
_LEVELLED_FAULTS: Final = (
    "address size fault",
    "translation fault",
    "access flag fault",
    "permission fault",
)
_OTHER_FAULTS: Final[Mapping[int, str]] = MappingProxyType(
    {0x10: "synchronous external abort", 0x21: "alignment fault"}
)


@dataclass(frozen=True)
class GuestException:
    """The vector (0 to 15, in the order of the table) and the EL1 registers that go with it."""

    vector: int
    esr: int
    elr: int
    far: int
    spsr: int

    @property
    def exception_class(self) -> int:
        """ESR_EL1.EC; means nothing for an IRQ or FIQ."""
        return self.esr >> 26 & 0x3F

    @property
    def kind(self) -> str:
        """Which of the four kinds of exception came."""
        return _KINDS[self.vector % 4]

    @property
    def cause(self) -> str:
        """What ESR_EL1 says; empty for an IRQ or FIQ, which have no syndrome."""
        if self.kind in ("IRQ", "FIQ"):
            return ""
        name = _CLASSES.get(self.exception_class, "class not known here")
        if self.exception_class in (_INSTRUCTION_ABORT, _DATA_ABORT):
            name += f", {self._fault()}"
        if self.exception_class in _CLASSES_WITH_FAR:
            name += f" at address {self.far:#x}"
        return f"{name} (EC {self.exception_class:#04x}, ESR {self.esr:#x})"

    def __str__(self) -> str:
        where = f"at {self.elr:#x}"
        if 0 <= self.elr - layout.IMAGE_GPA < layout.IMAGE_MAX_SIZE:
            where += f" (offset {self.elr - layout.IMAGE_GPA:#x} of the image)"
        text = f"unexpected {self.kind} from {_ORIGINS[self.vector // 4]}, {where}"
        return f"{text}: {self.cause}" if self.cause else text

    def _fault(self) -> str:
        status = self.esr & 0x3F
        if status < 4 * len(_LEVELLED_FAULTS):
            return f"{_LEVELLED_FAULTS[status >> 2]} at level {status & 3}"
        return _OTHER_FAULTS.get(status, f"fault status {status:#x}")
