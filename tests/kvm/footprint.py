# SPDX-License-Identifier: Apache-2.0
"""What a process holds of the kernel's: descriptors and mappings, before and after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: In smaps, a mapping that a forked child reads as zeros: nothing but private guest memory here.
_WIPED_ON_FORK = "wf"


def descriptors() -> dict[int, str]:
    """Every open descriptor and what it is."""
    found: dict[int, str] = {}
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that listed the directory
            found[int(path.name)] = os.readlink(path)
    return found


def mappings() -> list[str]:
    """Every mapping that pykvm could have made: of a file that is no library, or guest memory.

    The interpreter's own heap, which grows at any time, is not among them.
    """
    found: list[str] = []
    head = ""
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            head = line
            if "anon_inode" in line or "memfd" in line or "guest-memory" in line:
                found.append(head)
        elif words[0] == "VmFlags:" and _WIPED_ON_FORK in words[1:]:
            found.append(head)
    return found


@contextmanager
def unchanged() -> Iterator[None]:
    """Fails where the block leaves a descriptor or a mapping behind, or takes one away."""
    before = descriptors(), mappings()
    yield
    after = descriptors(), mappings()
    assert after == before
