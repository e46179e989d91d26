# SPDX-License-Identifier: Apache-2.0
"""What the probe found, as values; and as JSON, in the form of ``report.schema.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from errno import ENODATA
from pathlib import Path
from typing import Any, NamedTuple

from pykvm.probe.about import ABOUT
from pykvm.probe.check import Check
from pykvm.probe.facts import Fact

__all__ = [
    "SCHEMA",
    "Capability",
    "Field",
    "Gap",
    "Reason",
    "Register",
    "Report",
    "Trial",
    "UnreadableReport",
    "schema",
]

#: The version of the JSON form. A newer one may have other keys; none of these ever changes.
SCHEMA = 1


#: Of names that came after the version which made a report.
_UNKNOWN = Fact.failed("an older pykvm, which did not ask", ENODATA)


class UnreadableReport(ValueError):
    """A text is no report, or one that this version does not know."""


class Reason(NamedTuple):
    """Why something is not there, and what to do about it, which may be empty."""

    why: str
    remedy: str


@dataclass(frozen=True)
class Capability:
    """What KVM_CHECK_EXTENSION answers; ``name`` is None where pykvm does not know the number."""

    number: int
    name: str | None
    system: Fact
    vm: Fact
    meaning: str
    since: str | None


@dataclass(frozen=True)
class Trial:
    """Features that KVM_ARM_VCPU_INIT was asked for together, and whether it gave them."""

    features: tuple[str, ...]
    fact: Fact


@dataclass(frozen=True)
class Field:
    """A field of an ID register. ``meaning`` may be empty; ``writable`` has the bits in place."""

    name: str
    lsb: int
    width: int
    value: int
    meaning: str
    writable: int


@dataclass(frozen=True)
class Register:
    """An ID register as a guest sees it; of ``writable`` bits the kernel tells, or does not."""

    name: str
    id: int
    value: int
    writable: int | None
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Gap:
    """What is missing on this host as a whole: a word for programs, sentences for people."""

    name: str
    what: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """What :func:`pykvm.probe.collect` found."""

    schema: int
    pykvm: str
    facts: Mapping[str, Fact]
    capabilities: tuple[Capability, ...]
    vcpu_features: tuple[Trial, ...]
    registers: tuple[Register, ...]
    gaps: tuple[Gap, ...]
    selftest: tuple[Check, ...] | None

    def reason(self, name: str) -> Reason:
        """Why the fact of this name is no value; KeyError where there is no such name."""
        from pykvm.probe.reasons import reason_for

        return reason_for(self, name)

    def to_json(self) -> str:
        """The report as its schema has it; numbers of 64 bits are strings in hexadecimal."""
        tree = asdict(self)
        for register in tree["registers"]:
            for key in ("id", "value", "writable"):
                register[key] = None if register[key] is None else hex(register[key])
            for field in register["fields"]:
                field["writable"] = hex(field["writable"])
        return json.dumps(tree, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """A report from its JSON. UnreadableReport says what is wrong with the text."""
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as broken:
            raise UnreadableReport(f"this is no JSON: {broken}") from None
        if not isinstance(tree, dict) or not isinstance(tree.get("schema"), int):
            raise UnreadableReport("this JSON is no report of pykvm probe: it has no schema number")
        if tree["schema"] != SCHEMA:
            newer = "; a newer pykvm made it" if tree["schema"] > SCHEMA else ""
            raise UnreadableReport(f"its schema is {tree['schema']}, not {SCHEMA}{newer}")
        try:
            return _report(tree)
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise UnreadableReport(
                f"this JSON is no report of pykvm probe: {type(wrong).__name__} {wrong}"
            ) from None


def schema() -> dict[str, Any]:
    """The JSON Schema of reports, which is part of the package."""
    text = Path(__file__).with_name("report.schema.json").read_text("utf-8")
    tree: dict[str, Any] = json.loads(text)
    return tree


def _only(cls: type[Any], tree: dict[str, Any]) -> dict[str, Any]:
    return {field.name: tree[field.name] for field in fields(cls)}


def _fact(tree: dict[str, Any]) -> Fact:
    value = tree["value"]
    state = tree["state"]
    if state not in ("value", "no", "failed"):
        raise ValueError(f"state {state!r}")
    return Fact(**{**_only(Fact, tree), "value": tuple(value) if type(value) is list else value})


def _register(tree: dict[str, Any]) -> Register:
    made = [
        Field(**{**_only(Field, field), "writable": int(field["writable"], 16)})
        for field in tree["fields"]
    ]
    writable = None if tree["writable"] is None else int(tree["writable"], 16)
    return Register(
        tree["name"], int(tree["id"], 16), int(tree["value"], 16), writable, tuple(made)
    )


def _report(tree: dict[str, Any]) -> Report:
    checks = tree["selftest"]
    facts = {name: _fact(fact) for name, fact in tree["facts"].items()}
    return Report(
        tree["schema"],
        tree["pykvm"],
        {**dict.fromkeys(ABOUT.keys() - facts.keys(), _UNKNOWN), **facts},
        tuple(
            Capability(
                **{**_only(Capability, c), "system": _fact(c["system"]), "vm": _fact(c["vm"])}
            )
            for c in tree["capabilities"]
        ),
        tuple(Trial(tuple(t["features"]), _fact(t["fact"])) for t in tree["vcpu_features"]),
        tuple(_register(register) for register in tree["registers"]),
        tuple(Gap(**_only(Gap, gap)) for gap in tree["gaps"]),
        None if checks is None else tuple(Check(**_only(Check, check)) for check in checks),
    )
