# SPDX-License-Identifier: Apache-2.0
"""MMIO ranges without a guest: what each kind answers to every access, whole, in part or beside."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from pykvm import _bus, vcpurun
from pykvm._kvm import ffi, lib

GPA, SIZE = 0x1000, 8
WIDTHS = (1, 2, 4, 8)
NOBODYS = lib.PYKVM_EXITS - lib.KVM_EXIT_MMIO
SERVED = lib.PYKVM_NOTHING


class Answer(NamedTuple):
    code: int
    value: int


class Ranges:
    """A table of ranges, and accesses to it."""

    def __init__(self) -> None:
        self.bus = _bus.Bus()
        self.table = self.bus.table

    def add(
        self,
        kind: str,
        gpa: int = GPA,
        size: int = SIZE,
        *,
        words: int = 0,
        content: bytes = b"",
        handled: int = 0,
    ) -> tuple[int, object]:
        state = ffi.gc(lib.state_new(words), lib.state_drop)
        lib.state_fill(state, ffi.from_buffer(content), len(content))
        number = lib.bus_next_range(self.table)
        code = getattr(lib, f"PYKVM_RANGE_{kind.upper()}")
        result = lib.bus_add(self.table, number, gpa, size % 2**64, code, number, handled, state)
        return result or number, state

    def access(self, gpa: int, width: int, value: int | None = None) -> Answer:
        access = ffi.new("struct pykvm_access *")
        fields = ffi.buffer(access)
        fields[:] = _bus._STORE.pack(0, width, value or 0)
        code = lib.bus_access(self.table, gpa, value is not None, access)
        return Answer(code, _bus._STORE.unpack(fields)[2])


@pytest.fixture
def ranges() -> Ranges:
    return Ranges()


def accesses() -> Iterator[tuple[int, int]]:
    """Every access that touches the range, or lies next to it."""
    for width in WIDTHS:
        for gpa in range(GPA - width, GPA + SIZE + 1):
            yield gpa, width


def is_inside(gpa: int, width: int) -> bool:
    return gpa >= GPA and gpa + width <= GPA + SIZE


@pytest.mark.parametrize("kind", ["ignore", "counter", "constant", "latch", "ring", "handler"])
def test_an_access_that_is_partly_outside_is_nobodys(ranges: Ranges, kind: str) -> None:
    ranges.add(kind, words=300, handled=0xFF)
    for gpa, width in accesses():
        for value in None, 5:
            answer = ranges.access(gpa, width, value).code
            assert (answer == NOBODYS) == (not is_inside(gpa, width)), (gpa, width, value)


@pytest.mark.parametrize("kind", ["ignore", "counter", "constant", "latch", "ring", "handler"])
def test_widths_that_no_cpu_has_are_nobodys(ranges: Ranges, kind: str) -> None:
    ranges.add(kind, words=300, handled=0xFF)
    for width in 0, 3, 5, 6, 7, 9, 16, 2**31:
        assert ranges.access(GPA, width).code == NOBODYS
        assert ranges.access(GPA, width, 1).code == NOBODYS


def test_a_constant_reads_its_bytes_in_every_width(ranges: Ranges) -> None:
    content = bytes(range(1, SIZE + 1))
    ranges.add("constant", words=1, content=content)
    for gpa, width in accesses():
        if is_inside(gpa, width):
            part = content[gpa - GPA : gpa - GPA + width]
            assert ranges.access(gpa, width, 2**64 - 1).code == SERVED
            assert ranges.access(gpa, width) == (SERVED, int.from_bytes(part, "little"))


def test_a_latch_is_memory_of_its_size(ranges: Ranges) -> None:
    _, latch = ranges.add("latch")
    memory = bytearray(SIZE)
    chance = random.Random(1)  # noqa: S311
    inside = [access for access in accesses() if is_inside(*access)]
    for _ in range(3000):
        gpa, width = chance.choice(inside)
        part = slice(gpa - GPA, gpa - GPA + width)
        value = chance.getrandbits(8 * width)
        assert ranges.access(gpa, width, value).code == SERVED
        memory[part] = value.to_bytes(width, "little")
        gpa, width = chance.choice(inside)
        part = slice(gpa - GPA, gpa - GPA + width)
        assert ranges.access(gpa, width) == (SERVED, int.from_bytes(memory[part], "little"))
        assert lib.latch_value(latch) == int.from_bytes(memory, "little")


def test_a_counter_counts_and_reads_zero(ranges: Ranges) -> None:
    _, counter = ranges.add("counter")
    inside = [access for access in accesses() if is_inside(*access)]
    for gpa, width in inside:
        assert ranges.access(gpa, width) == (SERVED, 0)
        ranges.access(gpa, width, 9)
        ranges.access(gpa, width, 9)
    assert lib.counter_loads(counter) == len(inside)
    assert lib.counter_stores(counter) == 2 * len(inside)


def test_a_ring_keeps_stores_in_order_and_drops_none(ranges: Ranges) -> None:
    number, ring = ranges.add("ring", words=3 * 4, handled=0xF0)
    taken = ffi.new("struct pykvm_access[]", 8)

    def waiting() -> list[tuple[int, ...]]:
        n = lib.ring_take(ring, taken, 8, ffi.new("uint32_t *"))
        return list(_bus._STORE.iter_unpack(bytes(ffi.buffer(taken))[: n * _bus._STORE.size]))

    for _ in range(3):  # around the ring's end, too
        for n in range(3):
            assert ranges.access(GPA + n, 1 << n % 2, n + 7).code == SERVED
        assert waiting() == [(0, 1, 7), (1, 2, 8), (2, 1, 9)]
    for n in range(4):
        assert ranges.access(GPA, 4, n).code == SERVED
    assert ranges.access(GPA, 4, 4).code == 4 * number + 2, "full: its handler is to take it"
    assert ranges.access(GPA, 4).code == NOBODYS, "a load"
    assert [value for _, _, value in waiting()] == [0, 1, 2, 3]
    assert waiting() == []


def test_only_what_has_a_handler_is_handed_on(ranges: Ranges) -> None:
    """Bits 0 to 3 are loads of 1 to 8 bytes, bits 4 to 7 stores."""
    for handled in range(256):
        ranges = Ranges()
        number, _ = ranges.add("handler", handled=handled)
        for n, width in enumerate(WIDTHS):
            load = ranges.access(GPA, width).code
            store = ranges.access(GPA, width, 1).code
            place = 4 * number + n
            assert load == (lib.PYKVM_LOADS - place if handled >> n & 1 else NOBODYS)
            assert store == (place if handled >> n + 4 & 1 else NOBODYS)


def test_ranges_side_by_side_and_at_both_ends_of_all_addresses(ranges: Ranges) -> None:
    _, low = ranges.add("counter", 0, 1)
    _, high = ranges.add("counter", 2**64 - 4, 4)
    ranges.add("ignore", 1, 2**64 - 5)
    assert ranges.add("ignore", 5, 1)[0] == -17  # EEXIST
    assert ranges.access(0, 1).code == ranges.access(2**64 - 4, 4).code == SERVED
    assert ranges.access(0, 2).code == ranges.access(2**64 - 5, 2).code == NOBODYS
    assert ranges.access(2**64 - 1, 2).code == NOBODYS, "around the end"
    assert (lib.counter_loads(low), lib.counter_loads(high)) == (1, 1)
    everything = Ranges()
    everything.add("ignore", 0, 2**64)
    assert everything.access(2**63, 8).code == SERVED
    assert everything.add("ignore", 77, 1)[0] == -17


@pytest.mark.parametrize(
    ("gpa", "size"), [(GPA, 1), (GPA - 1, 2), (GPA + SIZE - 1, 1), (GPA - 9, 99), (0, 2**64)]
)
def test_ranges_do_not_overlap(ranges: Ranges, gpa: int, size: int) -> None:
    ranges.add("ignore")
    assert ranges.add("latch", gpa, size)[0] == -17
    assert ranges.add("latch", GPA - 1, 1)[0] > 0
    assert ranges.add("latch", GPA + SIZE, 1)[0] > 0


def test_many_ranges_come_and_go_as_in_a_list(ranges: Ranges) -> None:
    chance = random.Random(2)  # noqa: S311
    there: dict[int, tuple[int, int]] = {}
    seen = set()
    for _ in range(2000):
        gpa, size = chance.randrange(256), chance.randrange(1, 9)
        number, _ = ranges.add("ignore", gpa, size)
        overlaps = any(gpa < g + s and g < gpa + size for g, s in there.values())
        assert (number == -17) == overlaps
        if not overlaps:
            assert number not in seen, "a number is used once"
            seen.add(number)
            there[number] = gpa, size
        if len(there) > 20:
            gone = chance.choice(list(there))
            del there[gone]
            assert lib.bus_remove(ranges.table, gone) == 0
            assert lib.bus_remove(ranges.table, gone) == -2  # ENOENT
        gpa, width = chance.randrange(256), chance.choice(WIDTHS)
        inside = any(g <= gpa and gpa + width <= g + s for g, s in there.values())
        assert (ranges.access(gpa, width).code == SERVED) == inside


def test_a_state_outlives_its_range(ranges: Ranges) -> None:
    number, latch = ranges.add("latch")
    ranges.access(GPA, 4, 77)
    lib.bus_remove(ranges.table, number)
    assert lib.latch_value(latch) == 77


def test_a_ring_of_many_threads_loses_nothing(ranges: Ranges) -> None:
    _, ring = ranges.add("ring", words=3 * 64)
    taken, count = ffi.new("struct pykvm_access[]", 64), ffi.new("uint32_t *")
    seen: list[int] = []
    done = False

    def put(first: int) -> None:
        for n in range(first, first + 500):
            while ranges.access(GPA, 8, n).code != SERVED:
                pass

    def take() -> None:
        while True:
            last = done
            n = lib.ring_take(ring, taken, 64, count)
            seen.extend(entry[2] for entry in _bus._STORE.iter_unpack(ffi.buffer(taken, n * 24)))
            if last and not n:
                return

    writers = [threading.Thread(target=put, args=(first,)) for first in (0, 10_000)]
    reader = threading.Thread(target=take)
    for thread in (*writers, reader):
        thread.start()
    for thread in writers:
        thread.join()
    done = True
    reader.join()
    assert [n for n in seen if n < 10_000] == list(range(500))
    assert [n for n in seen if n >= 10_000] == list(range(10_000, 10_500))


def test_python_knows_the_numbers_of_c() -> None:
    """What the loop in Python compares with, so that it need not look them up."""
    assert (vcpurun._LOADS, vcpurun._EXITS) == (lib.PYKVM_LOADS, lib.PYKVM_EXITS)
    assert lib.PYKVM_EXITS - lib.KVM_EXIT_MMIO == vcpurun._LOADED
    assert lib.PYKVM_EXITS - lib.PYKVM_STORED == vcpurun._STORED
    assert vcpurun._NOTHING == lib.PYKVM_NOTHING
