# SPDX-License-Identifier: Apache-2.0
"""Where fields of ID registers lie, held against what the newest kernel itself is built from.

Its build makes a header of every field; Debian's package for building modules has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pykvm.probe.idfields import layouts
from tests.lab import cache, kernels
from tests.lab.packages import Suite

__all__ = ["kernel_fields", "misplaced"]

_HEADER = "usr/src/*/arch/arm64/include/generated/asm/sysreg-defs.h"
_SHIFT = re.compile(r"^#define (\w+_EL\d)_(\w+)_SHIFT\s+(\d+)$", re.MULTILINE)
_WIDTH = re.compile(r"^#define (\w+_EL\d)_(\w+)_WIDTH\s+(\d+)$", re.MULTILINE)

#: By register and field, in lower case: lsb and width.
Fields = dict[tuple[str, str], tuple[int, int]]


def fields_in(header: str) -> Fields:
    """All that the kernel's generated header defines."""
    widths = {(register, name): int(width) for register, name, width in _WIDTH.findall(header)}
    return {
        (register.lower(), name.lower()): (int(lsb), widths[register, name])
        for register, name, lsb in _SHIFT.findall(header)
    }


def kernel_fields() -> Fields:
    """Those of the newest kernel in Debian."""
    kernel = kernels.find("newest", "4k")
    suite = Suite(kernel.suite, "arm64")

    def get() -> Path:
        name = kernel.package.replace("linux-image-", "linux-headers-")
        package, _ = suite.candidate(name)
        key = cache.digest(package)
        return cache.item("module-headers", key, lambda into: suite.unpack([package], into))

    (header,) = suite.current(get).glob(_HEADER)
    return fields_in(header.read_text("utf-8"))


def misplaced(theirs: Fields) -> Iterator[str]:
    """Fields that lie elsewhere than here, and those of our registers that are not here."""
    ours = {
        (register, name.lower()): (lsb, width)
        for register, fields in layouts().items()
        for lsb, width, name, _ in fields
    }
    if len(ours.keys() & theirs.keys()) < len(ours) / 2:
        yield "the kernel's header has few of our fields: it cannot be read"
    for (register, name), place in sorted(theirs.items()):
        if (register, name) in ours and ours[register, name] != place:
            yield f"{register}.{name} is {ours[register, name]} here, {place} in the kernel"
        elif (register, name) not in ours and register in layouts():
            yield f"{register}.{name}, {place} in the kernel, is not here"
