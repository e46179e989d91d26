# SPDX-License-Identifier: Apache-2.0
"""Requirements on a host, as ``gicv3 and irqfd_resample and ipa_bits >= 44``.

Names are those of facts, ``KVM_CAP_…`` for what a VM answers, and ``register.field`` for a field of
an ID register. A name alone asks whether there is such a thing; a comparison needs a number. What
could not be asked is not met. ``and``, ``or``, ``not`` and parentheses are Python's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne

from pykvm.caps import Cap
from pykvm.probe.about import ABOUT
from pykvm.probe.facts import Fact
from pykvm.probe.idfields import layouts
from pykvm.probe.report import Report

__all__ = ["Requirement", "RequirementError", "known_names"]

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    ">=": ge, "<=": le, "==": eq, "!=": ne, ">": gt, "<": lt,
}  # fmt: skip
_TOKEN = re.compile(r"\s*(?:(0[xX][0-9a-fA-F]+|\d+)|([A-Za-z_][\w.]*)|(>=|<=|==|!=|[<>()]))")
_WORDS = ("and", "or", "not")
#: Nobody writes deeper ones, and Python's own stack has an end.
_DEEPEST = 50


class RequirementError(ValueError):
    """A requirement that cannot be read; the text says where and what was probably meant."""


@dataclass(frozen=True)
class Requirement:
    """An expression; ``names`` are the facts that it is about."""

    text: str
    names: frozenset[str]
    _holds: _Test = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """RequirementError says what is wrong with the text."""
        parser = _Parser(text)
        holds = parser.whole()
        return cls(text.strip(), frozenset(parser.names), holds)

    def unmet(self, report: Report) -> tuple[str, ...]:
        """Why the host does not meet it, a sentence for each part; empty where it does."""
        return tuple(dict.fromkeys(self._holds(report, False)))


#: Yields what is in the way of being true, or with the second argument of being false.
_Test = Callable[[Report, bool], tuple[str, ...]]


def known_names() -> Iterator[str]:
    """Every name that an expression can have."""
    yield from ABOUT
    yield from (f"KVM_CAP_{cap.name}" for cap in Cap)
    for register, fields in layouts().items():
        yield from (f"{register}.{field[2]}" for field in fields)


class _Parser:
    """One pass from left to right, a method for each level of binding."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.names: set[str] = set()
        self._known: Mapping[str, str] | None = None

    def whole(self) -> _Test:
        found = self._any()
        if self._peek():
            raise self._wrong("there is more than one expression: join them by and, or or")
        return found

    def _next(self) -> re.Match[str] | None:
        return _TOKEN.match(self.text, self.at)

    def _peek(self) -> str:
        """The next token; empty at the end."""
        if not self.text[self.at :].strip():
            return ""
        if (found := self._next()) is None:
            raise self._wrong("this sign has no meaning here")
        return found[0].strip()

    def _take(self, *wanted: str) -> str:
        """The next token, if it is one of these."""
        token = self._peek()
        if token in wanted and token:
            found = self._next()
            self.at = found.end() if found else self.at
            return token
        return ""

    def _any(self) -> _Test:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._wrong("this is nested too deeply")
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else _either(parts)

    def _all(self) -> _Test:
        parts = [self._negated()]
        while self._take("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else _both(parts)

    def _negated(self) -> _Test:
        turns = 0
        while self._take("not"):
            turns += 1
        test = self._single()
        return _not(test) if turns % 2 else test

    def _single(self) -> _Test:
        if self._take("("):
            inner = self._any()
            if not self._take(")"):
                raise self._wrong("a ) is missing")
            return inner
        left = self._operand()
        if not (sign := self._take(*_COMPARISONS)):
            if isinstance(left, int):
                raise self._wrong(f"{left} is to be compared with a name")
            return _there(left)
        right = self._operand()
        if isinstance(left, int) == isinstance(right, int):
            raise self._wrong("a comparison has a name on one side and a number on the other")
        if isinstance(left, int):
            swapped = {">=": "<=", "<=": ">=", ">": "<", "<": ">"}
            left, right, sign = right, left, swapped.get(sign, sign)
        return _compared(str(left), sign, int(right))

    def _operand(self) -> str | int:
        start = self.at
        token = self._peek()
        found = self._next() if token else None
        if found is None or found[3] or token in _WORDS:
            raise self._wrong("a name or a number is missing")
        self.at = found.end()
        if found[1]:
            return int(token, 0) if token[:2] in ("0x", "0X") else int(token)
        if self._known is None:
            self._known = {name.lower(): name for name in known_names()}
        if token.lower() not in self._known:
            self.at = start
            import difflib

            near = difflib.get_close_matches(token.lower(), self._known, n=3, cutoff=0.5)
            meant = ", ".join(self._known[name] for name in near)
            hint = f"did you mean {meant}?" if meant else "pykvm probe --verbose shows all names"
            raise self._wrong(f"there is no fact {token!r}: {hint}")
        name = self._known[token.lower()]
        self.names.add(name)
        return name

    def _wrong(self, why: str) -> RequirementError:
        rest = self.text[self.at :].strip()
        place = f"at {rest[:30]!r}" if rest else "at the end"
        return RequirementError(f"{place}: {why}")


def _both(parts: list[_Test]) -> _Test:
    def test(report: Report, negated: bool) -> tuple[str, ...]:
        found = [part(report, negated) for part in parts]
        if negated and not all(found):
            return ()  # one that is false will do
        return tuple(reason for reasons in found for reason in reasons)

    return test


def _either(parts: list[_Test]) -> _Test:
    def test(report: Report, negated: bool) -> tuple[str, ...]:
        found = [part(report, negated) for part in parts]
        if not negated and not all(found):
            return ()  # one that is true will do
        return tuple(reason for reasons in found for reason in reasons)

    return test


def _not(part: _Test) -> _Test:
    return lambda report, negated: part(report, not negated)


def _there(name: str) -> _Test:
    def test(report: Report, negated: bool) -> tuple[str, ...]:
        fact = _fact(report, name)
        if fact.state == "failed":
            return (_why(report, name, fact),)
        if fact.yes != negated:
            return ()
        return (f"{name} is there.",) if negated else (_why(report, name, fact),)

    return test


def _compared(name: str, sign: str, number: int) -> _Test:
    def test(report: Report, negated: bool) -> tuple[str, ...]:
        fact = _fact(report, name)
        if fact.state == "failed":
            return (_why(report, name, fact),)
        value = _number(fact)
        if value is None:
            return (f"{name} is {fact.value!r}, which is no number.",)
        if _COMPARISONS[sign](value, number) != negated:
            return ()
        if fact.state == "no":
            return (_why(report, name, fact),)
        return (f"{name} is {value}, not {'not ' if negated else ''}{sign} {number}.",)

    return test


def _number(fact: Fact) -> int | None:
    """What is compared: a number, the largest of several, 0 where there is none."""
    value = fact.value
    if isinstance(value, tuple):
        numbers = [item for item in value if isinstance(item, int)]
        return max(numbers) if len(numbers) == len(value) else len(value)
    if value is None:
        return 0
    return int(value) if isinstance(value, int) else None


def _fact(report: Report, name: str) -> Fact:
    if name in ABOUT:
        return report.facts[name]
    if name.startswith("KVM_CAP_"):
        for capability in report.capabilities:
            if capability.name == name:
                return capability.vm
        return Fact.no("KVM_CHECK_EXTENSION") if report.capabilities else report.facts["vm"]
    register, _, label = name.partition(".")
    for each in report.registers:
        for part in each.fields:
            if (each.name, part.name) == (register, label):
                return Fact.of(part.value, f"KVM_GET_ONE_REG({register})")
    return Fact.no(f"KVM_GET_ONE_REG({register})")


def _why(report: Report, name: str, fact: Fact) -> str:
    if not report.facts["kvm"].yes and report.gaps:
        return f"{name}: {report.gaps[-1].what}"
    state = "cannot be asked" if fact.state == "failed" else "is not there"
    reason = report.reason(name).why if name in ABOUT else fact.source
    return f"{name} {state}: {reason}"
