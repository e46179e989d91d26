# SPDX-License-Identifier: Apache-2.0
"""What a call in the table is, and the values and kinds that several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, NamedTuple

import pykvm
from pykvm import ClosedError
from tests.kvm.kinds import Descriptor, Int, Kind, Other, Wrong
from tests.kvm.stage import Stage, awaited

U31, U32, U64 = 2**31 - 1, 2**32 - 1, 2**64 - 1
#: Stands for an object of the stage as the valid value.
Staged = Callable[[Stage], Any]


class Call(NamedTuple):
    """One way to make a call.

    ``on`` names the object of the stage, and is empty for functions and constructors.
    ``arguments`` are (valid value, kind) by name. ``closed`` is what a closed object answers:
    ClosedError, or None where it just works. ``awaited`` is a coroutine, which may wait for ever.
    """

    name: str
    on: str
    arguments: Mapping[str, tuple[Any, Kind]] = MappingProxyType({})
    closed: type[Exception] | None = ClosedError
    awaited: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """What of a host the object needs."""
        versions = {"v2": "vgicv2", "v3": "vgicv3", "ts": "vgicv3"}
        if self.on in ("vgicv2", "vgicv3", "its", "placed_vgicv2", "placed_vgicv3", "placed_its"):
            return (versions[self.on[-2:]],)
        if self.on in ("guest_memfd", "memfd_vm"):
            return ("guest_memfd",)
        if self.on == "ringed":
            return ("dirty_ring",)
        return ("arm64",) if self.on == "vgic" else ()

    @property
    def is_property(self) -> bool:
        """Whether it shows a part of its object, which is not the caller's to close."""
        owner, _, attribute = self.name.partition(".")
        return isinstance(vars(getattr(pykvm, owner)).get(attribute), property)

    def valid(self, stage: Stage) -> dict[str, Any]:
        given = {name: value for name, (value, _) in self.arguments.items()}
        return {n: v(stage) if isinstance(v, FunctionType) else v for n, v in given.items()}

    def made(self, stage: Stage, arguments: dict[str, Any]) -> Any:
        """Makes the call."""
        owner, _, attribute = self.name.partition(".")
        if not attribute:
            return getattr(pykvm, owner)(**arguments)
        target = stage[self.on] if self.on else getattr(pykvm, owner)
        if attribute.endswith("="):
            return setattr(target, attribute[:-1], *arguments.values())
        found = getattr(target, attribute)
        if self.awaited:
            return awaited(found(**arguments))
        return found(**arguments) if callable(found) else found


REG = Other(
    *(Wrong(value, TypeError, "reg") for value in (None, 5.0, b"pc", [5], object(), True)),
    *(Wrong(value, ValueError, "reg") for value in (-1, 2**64, 2**70, "", "x31", "s3_8_c0_c0_0")),
    Wrong("s3_0_c99_c0_0", ValueError, "crn is 0x63"),
)
RAW = Other(
    *(Wrong(value, TypeError, "argument") for value in (None, "x", b"", 1.5, [1], object(), True)),
    *(Wrong(value, ValueError, "argument") for value in (-1, 2**64)),
)
REQUEST = {"request": (0xAE03, Int(0, U32)), "argument": (3, RAW)}
ATTRIBUTE = {"group": (99, Int(0, U32)), "attr": (0, Int(0, U64))}
OPEN_EVENTFD = (lambda stage: stage["eventfd"], Descriptor(none=True))
#: A core register of arm64, without a table of names; elsewhere the kernel refuses the id.
X0 = 0x6030000000100000
