# SPDX-License-Identifier: Apache-2.0
"""Scratch disks (``--drive SIZE``) for the devices of an emulated host; they end with it.

Each sector says its number, so that whoever reads one knows what to find. ``contents`` is imported
by tests on the emulated host, which never see the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab.shapes import size_of

SECTOR = 512
_LINE = 16
_CHUNK = 1 << 20


def contents(offset: int, size: int) -> bytes:
    """What a scratch disk holds before anybody writes to it, in whole sectors."""
    assert offset % SECTOR == 0
    assert size % SECTOR == 0
    sectors = range(offset // SECTOR, (offset + size) // SECTOR)
    return b"".join(b"sector %08x\n" % sector * (SECTOR // _LINE) for sector in sectors)


def make(work: Path, sizes: Sequence[str]) -> list[Path]:
    """The files, one for each size."""
    made = []
    for number, size in enumerate(map(size_of, sizes)):
        path = work / f"drive{number}"
        with open(path, "wb") as file:
            for offset in range(0, size, _CHUNK):
                file.write(contents(offset, min(_CHUNK, size - offset)))
        made.append(path)
    return made
