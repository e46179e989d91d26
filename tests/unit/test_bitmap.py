# SPDX-License-Identifier: Apache-2.0
"""Bitmaps of pages: what is found in them is what a slow and simple walk finds."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator

import pytest

from pykvm import bitmap_count, bitmap_pages, bitmap_runs


def _pages(bitmap: bytes) -> list[int]:
    return [page for page in range(8 * len(bitmap)) if bitmap[page // 8] >> page % 8 & 1]


def _runs(pages: list[int], gap: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and page - sum(runs[-1]) <= gap:
            first, _ = runs.pop()
            runs.append((first, page - first + 1))
        else:
            runs.append((page, 1))
    return runs


def _bitmap(words: int, chance: float, seed: int) -> bytes:
    """Random bits, in words that are now and then full or empty, as real ones are."""
    dice = random.Random(seed)  # noqa: S311 - nothing secret
    made = array("Q")
    for _ in range(words):
        word = sum((dice.random() < chance) << bit for bit in range(64))
        made.append(dice.choice([0, 0, word, word, 2**64 - 1]) if seed % 2 else word)
    return made.tobytes()


def _bitmaps() -> Iterator[bytes]:
    yield from (b"", bytes(8), bytes(8 * 9), b"\xff" * 8, b"\xff" * 8 * 9)
    yield from (bytes([0x80]) + bytes(7), bytes(7) + b"\x80" + b"\x01" + bytes(7))
    # Every kind of word at every place of the four that are looked at in one go.
    for length in range(1, 10):
        for place in range(length):
            yield bytes(8 * place) + b"\x01\x80\0\0\0\0\x03\xc0" + bytes(8 * (length - 1 - place))
    for seed in range(60):
        yield _bitmap(1 + seed, (0.01, 0.2, 0.5, 0.9)[seed % 4], seed)


@pytest.mark.parametrize("gap", [0, 1, 2, 63, 64, 1000])
def test_runs_are_those_of_a_simple_walk(gap: int) -> None:
    for bitmap in _bitmaps():
        assert bitmap_runs(bitmap, gap) == _runs(_pages(bitmap), gap), bitmap.hex()


def test_pages_are_those_of_a_simple_walk() -> None:
    for bitmap in _bitmaps():
        pages = bitmap_pages(bitmap)
        assert (pages.format, pages.itemsize, pages.ndim) == ("I", 4, 1)
        assert pages.tolist() == _pages(bitmap), bitmap.hex()
        assert bitmap_count(bitmap) == len(pages)


@pytest.mark.parametrize("pattern", [b"\xff", b"\x55", b"\xf0", b"\x01"])
def test_more_than_one_room_full(pattern: bytes) -> None:
    bitmap = pattern * (1 << 14)
    pages = _pages(bitmap)
    assert bitmap_pages(bitmap).tolist() == pages
    assert bitmap_count(bitmap) == len(pages)
    for gap in (0, 1, 7):
        assert bitmap_runs(bitmap, gap) == _runs(pages, gap)


def test_a_run_goes_on_over_the_end_of_a_room() -> None:
    lonely = b"\x05" + bytes(7)  # two runs
    bitmap = lonely * 4097 + b"\xff" * 8 * 300 + lonely * 50
    assert bitmap_runs(bitmap) == _runs(_pages(bitmap), 0)


def test_any_contiguous_buffer_is_a_bitmap() -> None:
    odd = memoryview(b"-\x06" + bytes(7))[1:]
    for bitmap in (odd, bytearray(odd), array("Q", [6])):
        assert bitmap_runs(bitmap) == [(1, 2)]
        assert bitmap_pages(bitmap).tolist() == [1, 2]
        assert bitmap_count(bitmap) == 2


def test_what_is_returned_stands_alone() -> None:
    bitmap = bytearray(b"\x01" + bytes(7))
    pages = bitmap_pages(bitmap)
    bitmap.clear()  # refused, were the bitmap still held
    assert pages.tolist() == [0]


@pytest.mark.parametrize("size", [1, 7, 9, (1 << 29) + 8])
def test_a_bitmap_is_whole_words_of_pages_that_can_be_numbered(size: int) -> None:
    for function in (bitmap_runs, bitmap_pages, bitmap_count):
        with pytest.raises(ValueError, match=f"bitmap has {size:#x} bytes"):
            function(bytes(size))
