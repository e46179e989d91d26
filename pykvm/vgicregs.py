# SPDX-License-Identifier: Apache-2.0
"""Registers of the virtual GICs by name: where each lies, how wide it is, what it holds per INTID.

Names are those of the GIC specifications, in any case: ``GICD_CTLR``, ``GICD_ISENABLER1``,
``GICR_PENDBASER``, ``GICC_PMR``, ``ICC_PMR_EL1``, ``ICH_LR0_EL2``, ``GITS_CBASER``. A number stands
for the register at that offset.

Source: Arm IHI 0048 (GICv2), IHI 0069 (GICv3 and ITS); devices/arm-vgic*.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pykvm._descriptor import check_int

__all__ = ["ICC", "ITS", "REDIST", "V2_CPU", "V2_DIST", "V3_DIST", "Register", "fields", "find"]


class Register(NamedTuple):
    """A register, or a family of ``length`` whose names end in a number.

    ``size`` is in bytes. ``bits`` is how many of them belong to each INTID, from 0 on; a family of
    ``IROUTER``'s kind has one register per INTID.
    """

    offset: int
    size: int = 4
    length: int = 0
    bits: int = 0


Table = Mapping[str, Register]

_PER_INTID = {
    "IGROUPR": (0x080, 1),
    "ISENABLER": (0x100, 1),
    "ICENABLER": (0x180, 1),
    "ISPENDR": (0x200, 1),
    "ICPENDR": (0x280, 1),
    "ISACTIVER": (0x300, 1),
    "ICACTIVER": (0x380, 1),
    "IPRIORITYR": (0x400, 8),
    "ICFGR": (0xC00, 2),
}


def _families(prefix: str, intids: int, base: int = 0) -> dict[str, Register]:
    """The registers that both distributors and the redistributors have, for so many INTIDs."""
    return {
        f"{prefix}_{name}": Register(base + offset, 4, intids * bits // 32, bits)
        for name, (offset, bits) in _PER_INTID.items()
    }


def _identification(prefix: str) -> dict[str, Register]:
    names = [f"PIDR{n}" for n in (4, 5, 6, 7, 0, 1, 2, 3)] + [f"CIDR{n}" for n in range(4)]
    return {f"{prefix}_{name}": Register(0xFFD0 + 4 * n) for n, name in enumerate(names)}


_DIST = {
    "GICD_CTLR": Register(0x000),
    "GICD_TYPER": Register(0x004),
    "GICD_IIDR": Register(0x008),
    **_families("GICD", 1024),
    "GICD_ITARGETSR": Register(0x800, 4, 256, 8),
}
V2_DIST: Table = {
    **_DIST,
    "GICD_SGIR": Register(0xF00),
    "GICD_CPENDSGIR": Register(0xF10, 4, 4, 8),
    "GICD_SPENDSGIR": Register(0xF20, 4, 4, 8),
}
V3_DIST: Table = {
    **_DIST,
    "GICD_TYPER2": Register(0x00C),
    "GICD_STATUSR": Register(0x010),
    "GICD_IGRPMODR": Register(0xD00, 4, 32, 1),
    "GICD_IROUTER": Register(0x6000, 8, 1020, 64),
    **_identification("GICD"),
}
_SGI_FRAME = 0x1_0000
REDIST: Table = {
    "GICR_CTLR": Register(0x00),
    "GICR_IIDR": Register(0x04),
    "GICR_TYPER": Register(0x08, 8),
    "GICR_STATUSR": Register(0x10),
    "GICR_WAKER": Register(0x14),
    "GICR_PROPBASER": Register(0x70, 8),
    "GICR_PENDBASER": Register(0x78, 8),
    "GICR_INVLPIR": Register(0xA0, 8),
    "GICR_INVALLR": Register(0xB0, 8),
    "GICR_SYNCR": Register(0xC0),
    **_identification("GICR"),
    **_families("GICR", 32, _SGI_FRAME),
    "GICR_IGRPMODR": Register(_SGI_FRAME + 0xD00, 4, 1, 1),
    "GICR_NSACR": Register(_SGI_FRAME + 0xE00),
}
V2_CPU: Table = {
    "GICC_CTLR": Register(0x00),
    "GICC_PMR": Register(0x04),
    "GICC_BPR": Register(0x08),
    "GICC_ABPR": Register(0x1C),
    "GICC_APR": Register(0xD0, 4, 4),
    "GICC_IIDR": Register(0xFC),
    "GICC_DIR": Register(0x1000),
}
ITS: Table = {
    "GITS_CTLR": Register(0x00),
    "GITS_IIDR": Register(0x04),
    "GITS_TYPER": Register(0x08, 8),
    "GITS_CBASER": Register(0x80, 8),
    "GITS_CWRITER": Register(0x88, 8),
    "GITS_CREADR": Register(0x90, 8),
    "GITS_BASER": Register(0x100, 8, 8),
    **_identification("GITS"),
}


def _instruction(op0: int, op1: int, crn: int, crm: int, op2: int) -> Register:
    """A system register, at the number that its MRS encoding makes."""
    return Register(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2, 8)


ICC: Table = {
    "ICC_PMR_EL1": _instruction(3, 0, 4, 6, 0),
    "ICC_BPR0_EL1": _instruction(3, 0, 12, 8, 3),
    **{f"ICC_AP0R{n}_EL1": _instruction(3, 0, 12, 8, 4 + n) for n in range(4)},
    **{f"ICC_AP1R{n}_EL1": _instruction(3, 0, 12, 9, n) for n in range(4)},
    "ICC_BPR1_EL1": _instruction(3, 0, 12, 12, 3),
    "ICC_CTLR_EL1": _instruction(3, 0, 12, 12, 4),
    "ICC_SRE_EL1": _instruction(3, 0, 12, 12, 5),
    "ICC_IGRPEN0_EL1": _instruction(3, 0, 12, 12, 6),
    "ICC_IGRPEN1_EL1": _instruction(3, 0, 12, 12, 7),
    **{f"ICH_AP0R{n}_EL2": _instruction(3, 4, 12, 8, n) for n in range(4)},
    **{f"ICH_AP1R{n}_EL2": _instruction(3, 4, 12, 9, n) for n in range(4)},
    "ICC_SRE_EL2": _instruction(3, 4, 12, 9, 5),
    "ICH_HCR_EL2": _instruction(3, 4, 12, 11, 0),
    "ICH_VTR_EL2": _instruction(3, 4, 12, 11, 1),
    "ICH_VMCR_EL2": _instruction(3, 4, 12, 11, 7),
    **{f"ICH_LR{n}_EL2": _instruction(3, 4, 12, 12 + n // 8, n % 8) for n in range(16)},
}


def _split(table: Table, name: str) -> tuple[str, int] | None:
    """The family and the number that a name is made of."""
    match = re.fullmatch(r"(.*\D)(\d{1,4})", name)
    if match and (family := table.get(match[1])) and int(match[2]) < family.length:
        return match[1], int(match[2])
    return None


#: What was looked up by name: whoever saves a GIC asks for the same hundreds each time.
_found: dict[tuple[int, str], tuple[str, int, int]] = {}


def find(table: Table, reg: int | str, *, width: int = 4) -> tuple[str, int, int]:
    """Name, offset and size in bytes of a register. ``width``: how wide one without a name is."""
    if not isinstance(reg, str):
        offset = check_int("reg", reg, 0, 2**32 - 1)
        return f"{offset:#x}", offset, width
    key = id(table), reg.upper()
    if (found := _found.get(key)) is None:
        found = _found[key] = _look_up(table, key[1])
    return found


def _look_up(table: Table, name: str) -> tuple[str, int, int]:
    if (alone := table.get(name)) and not alone.length:
        return name, alone.offset, alone.size
    if parts := _split(table, name):
        family = table[parts[0]]
        return name, family.offset + family.size * parts[1], family.size
    there = (f"{n}<0-{r.length - 1}>" if r.length else n for n, r in table.items())
    raise ValueError(f"reg is {name!r}; the registers here are {', '.join(there)}")


def fields(table: Table, name: str, value: int) -> Iterator[tuple[str, int, int]]:
    """What a register says about each INTID: the family's name, the INTID and its bits."""
    parts = _split(table, name)
    if parts is None or not (bits := table[parts[0]].bits):
        return
    family, number = parts
    per_register = max(32 // bits, 1)
    for place in range(per_register):
        yield family, per_register * number + place, value >> bits * place & (1 << bits) - 1
