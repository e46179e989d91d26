# SPDX-License-Identifier: Apache-2.0
"""Asks a compiler what kernel headers say about each fact.

The program is never run, so that any architecture can be asked: as the kernel's own build does for
its assembly code, each number is left in the compiler's output, where it is read.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.oracle.errors import OracleError
from tests.oracle.facts import Fact, Kind
from tests.oracle.headers import TRIPLETS, Headers

# The headers use SZ_64K and leave its definition to whoever includes them.
_PRELUDE = """\
#define SZ_64K 0x10000
#include <linux/version.h>
#include <linux/kvm.h>
#define FACT(number, value) void fact_##number(void) { \\
	asm volatile("\\n.ascii \\"fact " #number " %0\\"" : : "i"((unsigned long long)(value))); }
"""
_FOUND = re.compile(r'\.ascii\s+"fact (\d+) [$#]?(-?\d+)"')
_ERROR = re.compile(r"^fact:(\d+):.*?error: (.*)$", re.MULTILINE)
_MODULO = 1 << 64


@dataclass(frozen=True)
class Failure:
    """A fact that a kernel's headers contradict."""

    fact: Fact
    headers: Headers
    #: What the headers say; None if they do not have it.
    theirs: int | None
    compiler: str = ""

    def __str__(self) -> str:
        fact = self.fact
        where = f"{fact.file}: {fact}"
        if self.theirs is None:
            major, minor = fact.since
            arm64 = " arm64" if fact.arm64_only else ""
            return (
                f"{where} is noted as '{major}.{minor}{arm64}', but {self.headers} has no such "
                f"thing ({self.compiler}): correct the name or its note"
            )
        ours, theirs = (_shown(fact.kind, value) for value in (fact.ours, self.theirs))
        return f"{where} is {ours} here, {theirs} in {self.headers}"


@dataclass
class Comparison:
    """What became of every fact with one kernel's headers."""

    headers: Headers
    compared: list[Fact] = field(default_factory=list)
    #: Younger than the headers, or not of their architecture.
    absent: list[Fact] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def compare(facts: Iterable[Fact], headers: Headers, includes: str = "") -> Comparison:
    """Holds every fact against the headers; raises OracleError if they cannot be read at all.

    ``includes``: lines for headers other than KVM's.
    """
    result = Comparison(headers)
    wanted = {}
    for number, fact in enumerate(facts):
        if _can_be_asked(fact, headers):
            wanted[number] = fact
        else:
            result.absent.append(fact)
    output, errors = _compile(wanted, headers, includes)
    while errors:
        # What the headers do not have is a finding; the rest is still to be compared.
        for number, words in errors.items():
            result.failures.append(Failure(wanted.pop(number), headers, None, words))
        output, errors = _compile(wanted, headers, includes)
    theirs = {int(number): int(value) % _MODULO for number, value in _FOUND.findall(output)}
    for number, fact in wanted.items():
        if number in theirs:
            result.compared.append(fact)
            if fact.ours % _MODULO != theirs[number]:
                result.failures.append(Failure(fact, headers, theirs[number]))
        elif _is_younger(fact, headers):
            result.absent.append(fact)
        else:
            raise OracleError(f"{headers}: the compiler's output lacks {fact}: cannot read it")
    return result


def gcc(headers: Headers, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Gives C to the architecture's compiler, which sees the kernel's headers and no others."""
    compiler = f"{TRIPLETS[headers.arch]}-gcc"
    command = [compiler, "-std=gnu11", "-w", "-ftrack-macro-expansion=0", "-nostdinc"]
    for folder in headers.folders:
        command += ["-isystem", str(folder)]
    command += [*options, "-x", "c", "-"]
    # Its environment would name more folders: CPATH beats even -isystem.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        return subprocess.run(
            command, input=source, capture_output=True, text=True, env=environment, check=False
        )
    except FileNotFoundError:
        package = f"gcc-{TRIPLETS[headers.arch].replace('_', '-')}"
        raise OracleError(
            f"{compiler} is not installed, so {headers.arch} headers cannot be asked. "
            f"As root: apt-get install {package}"
        ) from None


def program(facts: Mapping[int, Fact], headers: Headers, includes: str = "") -> str:
    """C that computes every fact from the headers."""
    lines = [includes + _PRELUDE]
    for number, fact in facts.items():
        # The compiler's complaints then name the fact instead of a line.
        text = f'#line {number} "fact"\nFACT({number}, {fact.theirs})'
        if _is_younger(fact, headers):
            text = f"#ifdef {fact.name}\n{text}\n#endif"
        lines.append(text)
    return "\n".join(lines) + "\n"


def _is_younger(fact: Fact, headers: Headers) -> bool:
    return not headers.newest and headers.version[:2] < fact.since


def _can_be_asked(fact: Fact, headers: Headers) -> bool:
    """Whether there is a way to ask for this fact; only macros can be asked for in vain."""
    if fact.arm64_only and headers.arch != "arm64":
        return False
    return fact.kind in (Kind.CONSTANT, Kind.REQUEST) or not _is_younger(fact, headers)


def _compile(
    facts: Mapping[int, Fact], headers: Headers, includes: str
) -> tuple[str, dict[int, str]]:
    """The compiler's output, or what it has against which fact."""
    done = gcc(headers, program(facts, headers, includes), "-S", "-o", "-")
    if done.returncode == 0:
        return done.stdout, {}
    errors = {int(number): words for number, words in reversed(_ERROR.findall(done.stderr))}
    if not errors:
        raise OracleError(f"{headers}: the compiler failed:\n{done.stderr}")
    return "", errors


def _shown(kind: Kind, value: int) -> str:
    if kind in (Kind.CONSTANT, Kind.REQUEST):
        return f"{value:#x}" if value > 9 else str(value)
    if kind is Kind.SIGN:
        return "signed" if value else "unsigned"
    return f"{value} bytes"
