# SPDX-License-Identifier: Apache-2.0
"""Single accesses to guest memory: what they move, what they refuse, and what keeps them safe."""

from __future__ import annotations

import contextlib
import mmap
import threading

import pytest

from pykvm import ClosedError, GuestMemory
from tests.kvm.footprint import unchanged

SIZE = mmap.PAGESIZE
LOADS = (GuestMemory.load, GuestMemory.load_acquire)
STORES = (GuestMemory.store, GuestMemory.store_release)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("load", LOADS)
def test_loads_are_little_endian_numbers_of_their_size(load: object, size: int) -> None:
    with unchanged(), GuestMemory(SIZE) as memory:
        memory.write(0, bytes(range(1, 33)))
        for offset in range(0, 32, size):
            expected = int.from_bytes(memory.read(offset, size), "little")
            assert load(memory, offset, size) == expected  # type: ignore[operator]
        memory.write(0, b"\xff" * 8)
        assert load(memory, 0, size) == 2 ** (8 * size) - 1  # type: ignore[operator]


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("store", STORES)
def test_stores_change_their_bytes_alone(store: object, size: int) -> None:
    with unchanged(), GuestMemory(SIZE) as memory:
        for value in (0, 1, 0x8765_4321_0FED_CBA9 & (2 ** (8 * size) - 1), 2 ** (8 * size) - 1):
            memory.write(0, b"." * 24)
            store(memory, 8, size, value)  # type: ignore[operator]
            data = value.to_bytes(size, "little")
            assert memory.read(0, 24) == b"." * 8 + data + b"." * (16 - size)


def test_the_last_number_of_a_memory_that_does_not_start_its_mapping() -> None:
    with unchanged(), GuestMemory(SIZE) as memory:
        memory.store(SIZE - 8, 8, 0x1122_3344_5566_7788)
        assert memory.load(SIZE - 1, 1) == 0x11
        assert memory.read(SIZE - 8, 8).hex() == "8877665544332211"


@pytest.mark.parametrize(
    ("offset", "size", "word"),
    [
        (1, 2, "offset 0x1 is no multiple of 2"),
        (4, 8, "offset 0x4 is no multiple of 8"),
        (0, 3, "size is 3; it must be 1, 2, 4 or 8"),
        (0, 16, "size is 0x10"),
        (0, 0, "size is 0x0"),
        (SIZE, 1, "end beyond"),
        (SIZE - 4, 8, "end beyond"),
        (-8, 8, "offset is -0x8"),
        (2**64, 8, "offset is 0x1"),
        (2**64 - 8, 8, "offset is 0x"),
    ],
)
def test_places_that_cannot_be(offset: int, size: int, word: str) -> None:
    with unchanged(), GuestMemory(SIZE) as memory:
        for _ in range(2):  # before and after the memory has been prepared for such calls
            for load in LOADS:
                with pytest.raises(ValueError, match=word):
                    load(memory, offset, size)
            for store in STORES:
                with pytest.raises(ValueError, match=word):
                    store(memory, offset, size, 0)
            memory.load(0, 1)
        assert memory.read(0, SIZE) == bytes(SIZE)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_values_that_do_not_fit_are_not_stored(size: int) -> None:
    with unchanged(), GuestMemory(SIZE) as memory:
        for store in STORES:
            for value in (2 ** (8 * size), -1, 2**70):
                with pytest.raises(ValueError, match="value is"):
                    store(memory, 0, size, value)
            with pytest.raises(TypeError, match="value must be an int"):
                store(memory, 0, size, 1.0)  # type: ignore[arg-type]
        assert memory.read(0, 8) == bytes(8)


def test_closing_is_refused_for_others_and_not_for_these_calls() -> None:
    with unchanged():
        memory = GuestMemory(SIZE)
        memory.store(0, 4, 7)
        with memory.view(), pytest.raises(BufferError):
            memory.close()
        assert memory.load(0, 4) == 7  # not closed: usable as before
        memory.close()
        for call in (lambda: memory.load(0, 4), lambda: memory.store(0, 4, 1)):
            with pytest.raises(ClosedError):
                call()


def test_close_while_others_load() -> None:
    """Nobody reads what is unmapped: a call keeps the mapping, or finds it closed."""
    for _ in range(20):
        memory = GuestMemory(SIZE)
        memory.store(0, 8, 5)
        started = threading.Event()
        wrong: list[object] = []

        def loads(memory: GuestMemory, started: threading.Event, wrong: list[object]) -> None:
            try:
                for _ in range(1000):
                    value = memory.load(0, 8)
                    started.set()
                    if value != 5:
                        wrong.append(value)
            except ClosedError:
                pass

        thread = threading.Thread(target=loads, args=(memory, started, wrong))
        thread.start()
        started.wait()
        with contextlib.suppress(BufferError):  # refused while a load is under way
            memory.close()
        thread.join()
        memory.close()
        assert wrong == []


def test_an_index_published_after_its_entries() -> None:
    """The way of a ring: entries are stored first, and loaded after the index that covers them."""
    entries, slots = 2000, 64
    with GuestMemory(SIZE) as memory:

        def produce() -> None:
            for number in range(1, entries + 1):
                while number - memory.load_acquire(8, 4) > slots:
                    pass
                memory.store(64 + 8 * (number % slots), 8, number * 3)
                memory.store_release(0, 4, number)

        thread = threading.Thread(target=produce)
        thread.start()
        seen: list[int] = []
        while len(seen) < entries:
            for number in range(len(seen) + 1, memory.load_acquire(0, 4) + 1):
                seen.append(memory.load(64 + 8 * (number % slots), 8))
            memory.store_release(8, 4, len(seen))
        thread.join()
    assert seen == [number * 3 for number in range(1, entries + 1)]


def test_read_into() -> None:
    with unchanged(), GuestMemory(SIZE) as memory:
        memory.write(8, b"abcdefgh")
        target = bytearray(4)
        memory.read_into(9, target)
        assert target == b"bcde"
        memory.read_into(8, memoryview(target)[1:3])
        assert target == b"babe"
        memory.read_into(SIZE, bytearray())
        for wrong, error in (b"1234", TypeError), ("text", TypeError):
            with pytest.raises(error, match="target"):
                memory.read_into(0, wrong)
        with pytest.raises(ValueError, match="end beyond"):
            memory.read_into(SIZE - 3, target)
        assert target == b"babe"
