# SPDX-License-Identifier: Apache-2.0
"""What a process holds of the kernel's: descriptors and mappings, before and after."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

#: In smaps, a mapping that a forked child reads as zeros: nothing but private guest memory here.
_WIPED_ON_FORK = "wf"


def descriptors() -> dict[int, str]:
    """Every open descriptor and what it is."""
    found: dict[int, str] = {}
    with os.scandir("/proc/self/fd") as listing:
        entries = list(listing)
    for entry in entries:
        with suppress(FileNotFoundError):  # the one that listed the directory
            found[int(entry.name)] = os.readlink(entry.path)
    return found


def mappings() -> list[str]:
    """Every mapping that pykvm could have made: of a file that is no library, or guest memory.

    The interpreter's own heap, which grows at any time, is not among them.
    """
    return _mappings(_read("maps"))


@lru_cache(maxsize=1)
def _mappings(_maps: str) -> list[str]:
    """``smaps`` tells more and takes long to make: it is read where ``maps`` shows a change."""
    found: list[str] = []
    head = ""
    for line in _read("smaps").splitlines():
        if line.startswith("VmFlags:"):
            if _WIPED_ON_FORK in line.split():
                found.append(head)
        elif "-" in line.partition(" ")[0]:
            head = line
            if "anon_inode" in line or "memfd" in line or "guest-memory" in line:
                found.append(head)
    return found


def _read(name: str) -> str:
    with open(f"/proc/self/{name}", encoding="utf-8") as file:
        return file.read()


@contextmanager
def unchanged(*, collected: bool = False) -> Iterator[None]:
    """Fails where the block leaves a descriptor or a mapping behind, or takes one away.

    What an earlier test left in a cycle must not end meanwhile: it goes first, unless the caller
    has seen to that (``collected``).
    """
    if not collected:
        gc.collect()
    before = descriptors(), mappings()
    yield
    after = descriptors(), mappings()
    assert after == before
