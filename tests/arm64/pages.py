# SPDX-License-Identifier: Apache-2.0
"""Machines whose guest writes to memory page by page."""

from __future__ import annotations

import mmap
from typing import Any

from guests import layout, words
from tinyvm import TinyVm

from pykvm import MmioWrite
from tests.arm64.execute import loaded
from tests.arm64.spis import Tiny

#: Where the guests' tables have memory, and no slot is yet.
PAGES_GPA = 0x6000_0000
#: Ends run(); with the next one the guest goes on.
MARK = words.str_(1, 5)
VALUE = 0x1122_3344_5566_7788
MARKED = MmioWrite(layout.MMIO_GPA, VALUE.to_bytes(8, "little"))


def writing(tiny: Tiny, pages: int, *, rounds: int = 1, **options: Any) -> TinyVm:
    """A machine whose guest stores VALUE to each of so many pages from PAGES_GPA on.

    It marks the end of each round.
    """
    keep = (words.mov(8, 0), words.mov(9, 3))
    back = (words.mov(0, 8), words.mov(3, 9))
    each_page = (words.str_(1, 0), words.add_x(0, 0, 2), words.add_x(3, 3, 4), words.cbnz(3, -3))
    return marking(tiny, *keep, *[*back, *each_page, MARK] * rounds, pages=pages, **options)


def marking(tiny: Tiny, *instructions: int, pages: int = 0, **options: Any) -> TinyVm:
    """A machine for instructions that MARK.

    x0 is PAGES_GPA, x1 VALUE, x2 a page's size, x3 ``pages``, x4 -1 and x5 where a mark goes.
    """
    x = (PAGES_GPA, VALUE, mmap.PAGESIZE, pages, 2**64 - 1, layout.MMIO_GPA)
    return loaded(tiny, *instructions, x=x, **options)
