# SPDX-License-Identifier: Apache-2.0
"""What the example's declarations of VFIO claim, for the same oracle."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from minivmm.vfio import uapi

from tests.oracle.facts import Fact, Kind

FILE = "examples/minivmm/vfio/uapi.py"
#: What a program has to include for them.
INCLUDES = "#include <linux/vfio.h>\n"
_SINCE = (3, 6)


def facts() -> list[Fact]:
    """Every number, and the size and each member of every structure."""
    found = []
    for name, value in vars(uapi).items():
        if isinstance(value, int) and name.startswith("VFIO_"):
            kind = Kind.REQUEST if value >> 8 == ord(";") else Kind.CONSTANT
            found.append(Fact(kind, name, value, name, _SINCE, False, FILE))
        elif isinstance(value, uapi.Struct):
            found += _struct_facts(value)
    return found


def _struct_facts(declared: uapi.Struct) -> Iterator[Fact]:
    tag = f"struct {declared.name}"

    def fact(kind: Kind, name: str, ours: int, theirs: str) -> Fact:
        return Fact(kind, name, ours, theirs, declared.since, False, FILE)

    yield fact(Kind.SIZE, tag, declared.size, f"sizeof({tag})")
    offset = 0
    for member, code in declared.members.items():
        name, access = f"{declared.name}.{member}", f"(({tag} *)0)->{member}"
        width = struct.calcsize(f"={code}")
        yield fact(Kind.OFFSET, name, offset, f"__builtin_offsetof({tag}, {member})")
        yield fact(Kind.WIDTH, name, width, f"sizeof({access})")
        offset += width
