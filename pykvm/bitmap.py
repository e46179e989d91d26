# SPDX-License-Identifier: Apache-2.0
"""Bitmaps of pages, as KVM_GET_DIRTY_LOG gives them, walked in C.

A bitmap is any contiguous buffer of 64-bit words in the machine's order; bit n of word m is page
64 * m + n. Runs fit what is done with them: slices of guest memory. A Python int for each page
costs more than finding it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from pykvm._descriptor import check_int, octets
from pykvm._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

__all__ = ["bitmap_count", "bitmap_pages", "bitmap_runs"]

#: Pages have numbers of 32 bits: memory slots end well below.
_MOST_WORDS = 2**32 // 64
#: Numbers that one call into C may find: more would leave the processor's nearest cache.
_ROOM = 16384
_runs_in = struct.Struct("=II").iter_unpack


#: Walks that nobody uses, each with the room where it leaves what it found, that as a buffer, and
#: the room itself. A list's own methods are atomic: no lock is needed.
_free: list[tuple[Any, memoryview, Any]] = []


def bitmap_runs(bitmap: Buffer, merge_gap: int = 0) -> list[tuple[int, int]]:
    """The runs of set bits, each as (first page, count), in order.

    ``merge_gap``: runs with so few pages or fewer between them become one, which then holds these
    pages too: fewer and longer copies.
    """
    merge_gap = check_int("merge_gap", merge_gap, 0, 2**32 - 1)
    source, words = _words_of(bitmap)
    walk, found, room = taken = _taken()
    lib.walk_open(walk, source, words, merge_gap, room, _ROOM)
    runs: list[tuple[int, int]] = []
    while count := lib.walk_runs(walk):
        runs += _runs_in(found[: 8 * count])
    _free.append(taken)
    return runs


def bitmap_pages(bitmap: Buffer) -> memoryview:
    """The numbers of the pages whose bits are set, in order: a memoryview of format ``I``."""
    source, words = _words_of(bitmap)
    walk, found, room = taken = _taken()
    lib.walk_open(walk, source, words, 0, room, _ROOM)
    pages = bytearray()
    while count := lib.walk_pages(walk):
        pages += found[: 4 * count]
    _free.append(taken)
    return memoryview(pages).cast("I")


def bitmap_count(bitmap: Buffer) -> int:
    """How many bits are set."""
    return lib.bitmap_count(*_words_of(bitmap))


def _words_of(bitmap: Buffer) -> tuple[Any, int]:
    """The bitmap for C, which holds it, and how many words it has."""
    view = octets("bitmap", bitmap)
    words, rest = divmod(view.nbytes, 8)
    if rest or words > _MOST_WORDS:
        raise ValueError(
            f"bitmap has {view.nbytes:#x} bytes; it must be whole words of 8, of 2**32 bits at most"
        )
    return ffi.from_buffer(view), words


def _taken() -> tuple[Any, memoryview, Any]:
    try:
        return _free.pop()
    except IndexError:
        room = ffi.new("uint32_t[]", _ROOM)
        return ffi.new("struct pykvm_walk *"), memoryview(ffi.buffer(room)), room
