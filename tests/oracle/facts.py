# SPDX-License-Identifier: Apache-2.0
"""What our compiled module claims about the kernel, claim by claim.

Values come out of the module, so that what is checked is what runs; cdefs/build.py tells only which
kernel brought a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cdefs.build import Name
from tests.oracle.errors import OracleError

_OWN = ("PYKVM_", "pykvm_")


class Kind(StrEnum):
    """What a fact is about."""

    CONSTANT = "constant"
    REQUEST = "request number"
    SIZE = "structure size"
    OFFSET = "member offset"
    WIDTH = "member size"
    ELEMENT = "element size"
    SIGN = "member sign"


@dataclass(frozen=True)
class Fact:
    """One number that a kernel header has an opinion about."""

    kind: Kind
    name: str
    ours: int
    #: The same number, in C.
    theirs: str
    since: tuple[int, int]
    arm64_only: bool
    file: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def facts(ffi: Any, lib: Any, names: Iterable[Name]) -> list[Fact]:
    """Every fact about the kernel in a module made by cdefs/build.py, with ``names`` from there."""
    notes = {name.name: name for name in names}
    constants = [name for name in dir(lib) if isinstance(getattr(lib, name), int)]
    typedefs, structs, unions = ffi.list_types()
    _check_known(constants, structs, typedefs + unions, notes)
    found = []
    for name in constants:
        if not name.startswith(_OWN):
            note = notes[name]
            kind = Kind.REQUEST if note.kind == "request" else Kind.CONSTANT
            found.append(_fact(kind, name, getattr(lib, name), name, [note]))
    for name in structs:
        if not name.startswith(_OWN):
            found += _struct_facts(ffi, name, notes)
    return found


def _check_known(
    constants: list[str], structs: list[str], others: list[str], notes: dict[str, Name]
) -> None:
    if others:
        raise OracleError(f"cannot compare {others}: only constants and structures are understood")
    compiled = {name for name in constants + structs if not name.startswith(_OWN)}
    if unknown := sorted(compiled - set(notes)):
        raise OracleError(
            f"{unknown} are in the module but cdefs/ does not say which kernel brought them; the "
            f"module may be older than cdefs/: build it again"
        )
    declared = {name for name, note in notes.items() if note.kind != "member"}
    if missing := sorted(declared - compiled):
        raise OracleError(
            f"cdefs/ declares {missing}, the module lacks them: it is older, build it again"
        )


def _fact(kind: Kind, name: str, ours: int, theirs: str, notes: list[Name]) -> Fact:
    since = max(note.since for note in notes)
    arm64_only = any(note.arm64_only for note in notes)
    return Fact(kind, name, ours, theirs, since, arm64_only, f"cdefs/{notes[0].file}")


def _struct_facts(ffi: Any, name: str, notes: dict[str, Name]) -> Iterator[Fact]:
    struct = ffi.typeof(f"struct {name}")
    tag = f"struct {name}"
    yield _fact(Kind.SIZE, tag, ffi.sizeof(struct), f"sizeof({tag})", [notes[name]])
    for path, offset, ctype in _members(struct):
        own = [notes.get(f"{name}.{part}") for part in path.split(".")]
        all_notes = [notes[name], *(note for note in own if note)]
        member = f"{name}.{path}"
        access = f"(({tag} *)0)->{path}"
        yield _fact(Kind.OFFSET, member, offset, f"__builtin_offsetof({tag}, {path})", all_notes)
        if ctype.kind != "array" or ctype.length is not None:
            yield _fact(Kind.WIDTH, member, ffi.sizeof(ctype), f"sizeof({access})", all_notes)
        if ctype.kind == "array" and ffi.sizeof(ctype.item) > 1:
            # An array of bytes is raw room: what the kernel keeps there is of no concern.
            size = ffi.sizeof(ctype.item)
            yield _fact(Kind.ELEMENT, member, size, f"sizeof({access}[0])", all_notes)
        elif ctype.kind == "primitive":
            signed = int(ffi.cast(ctype, -1)) < 0
            theirs = f"(__typeof__({access}))-1 < (__typeof__({access}))1"
            yield _fact(Kind.SIGN, member, signed, theirs, all_notes)


def _members(struct: Any, path: str = "", base: int = 0) -> Iterator[tuple[str, int, Any]]:
    """Path, offset and type of every member with a name, however deep."""
    for name, field in struct.fields:
        if field.bitsize >= 0:
            raise OracleError(f"{struct.cname}: {name} is a bit field, which has no offset")
        inner = path + name
        offset = base + field.offset
        if name:
            yield inner, offset, field.type
        if field.type.kind in ("struct", "union"):
            yield from _members(field.type, f"{inner}." if name else path, offset)
        elif field.type.kind == "array" and field.type.item.kind in ("struct", "union"):
            yield from _members(field.type.item, f"{inner}[0].", offset)
