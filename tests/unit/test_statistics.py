# SPDX-License-Identifier: Apache-2.0
"""The file behind KVM_GET_STATS_FD: whatever a kernel puts there is read right, or refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

import pytest

from pykvm import Statistic, StatisticKind, StatisticUnit
from pykvm.statistics import Layout

_NAME_SIZE = 16
_HEADER = struct.Struct("=6I")
_DESCRIPTOR = struct.Struct("=IhHII")
_PLAIN = (0, 0, 1, 0, 0)


@pytest.fixture
def file() -> Iterator[Callable[..., int]]:
    """Makes a file of statistics; ``changed`` are numbers of its header."""
    made: list[int] = []

    def make(
        *descriptors: tuple[int, int, int, int, int],
        data: tuple[int, ...] = (),
        **changed: int,
    ) -> int:
        described = b"".join(
            _DESCRIPTOR.pack(*fields) + f"stat{number}".encode().ljust(_NAME_SIZE, b"\0")
            for number, fields in enumerate(descriptors)
        )
        at = 64  # blocks need not touch
        header = {
            "flags": 0, "name_size": _NAME_SIZE, "num_desc": len(descriptors), "id_offset": 24,
            "desc_offset": at, "data_offset": at + len(described) + 8, **changed,
        }  # fmt: skip
        content = _HEADER.pack(*header.values()) + b"kvm-7/vcpu-3".ljust(_NAME_SIZE, b"\0")
        content = content.ljust(at, b"\xee") + described + bytes(8)
        made.append(os.memfd_create("statistics"))
        os.write(made[-1], content + struct.pack(f"={len(data)}Q", *data))
        return made[-1]

    yield make
    for fd in made:
        os.close(fd)


def test_each_kind_unit_and_scale(file: Callable[..., int]) -> None:
    fd = file(
        _PLAIN,
        (0x111, 20, 1, 8, 0),
        (0x023, -9, 3, 16, 5),
        (0x044, 0, 2, 40, 0),
        data=(2**64 - 1, 7, 1, 2, 3, 4, 5),
    )
    layout = Layout(fd)
    assert layout.id == "kvm-7/vcpu-3"
    kind, unit = StatisticKind, StatisticUnit
    assert layout.values(fd) == {
        "stat0": Statistic(2**64 - 1, kind.CUMULATIVE, unit.NONE, 10, 0, 0),
        "stat1": Statistic(7, kind.INSTANT, unit.BYTES, 2, 20, 0),
        "stat2": Statistic((1, 2, 3), kind.LINEAR_HIST, unit.SECONDS, 10, -9, 5),
        "stat3": Statistic((4, 5), kind.LOG_HIST, unit.BOOLEAN, 10, 0, 0),
    }


def test_what_is_newer_than_this_is_a_number(file: Callable[..., int]) -> None:
    fd = file((0xEDC, 1, 1, 0, 0), (0xEDC, 1, 2, 8, 0), (0, 0, 0, 0, 0), data=(1, 2, 3))
    found = Layout(fd).values(fd)
    assert found["stat0"] == Statistic(1, 12, 13, 0, 1, 0)
    assert found["stat1"].value == (2, 3)
    assert found["stat2"].value == ()


def test_a_histogram_of_one_bucket_is_a_histogram(file: Callable[..., int]) -> None:
    fd = file((4, 0, 1, 0, 0), data=(9,))
    assert Layout(fd).values(fd)["stat0"].value == (9,)


def test_values_are_read_anew(file: Callable[..., int]) -> None:
    fd = file(_PLAIN, data=(1,))
    layout = Layout(fd)
    before = layout.values(fd)
    os.pwrite(fd, struct.pack("=Q", 2), os.fstat(fd).st_size - 8)
    assert layout.values(fd)["stat0"].value == 2
    assert before["stat0"].value == 1


def test_none_at_all(file: Callable[..., int]) -> None:
    fd = file()
    assert Layout(fd).values(fd) == {}


def test_a_name_may_fill_its_room_and_be_no_text(file: Callable[..., int]) -> None:
    fd = file(_PLAIN, data=(1,))
    os.pwrite(fd, b"\xff" + b"n" * (_NAME_SIZE - 1), 64 + _DESCRIPTOR.size)
    assert list(Layout(fd).values(fd)) == ["\\xff" + "n" * (_NAME_SIZE - 1)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name_size": 2**32 - 1}, "id of 4294967295 bytes"),
        ({"num_desc": 2**32 - 1}, "descriptors of 137438953440 bytes"),
        ({"num_desc": 9}, "descriptors of 288 bytes at 64 should be there, and 48 are"),
        ({"id_offset": 2**32 - 1}, "id of 16 bytes at 4294967295 .* and 0 are"),
        ({"desc_offset": 2**32 - 8}, "descriptors of 32 bytes"),
    ],
)
def test_a_header_that_cannot_be(
    file: Callable[..., int], changed: dict[str, int], words: str
) -> None:
    with pytest.raises(OSError, match=words):
        Layout(file(_PLAIN, data=(1,), **changed))


@pytest.mark.parametrize(
    "descriptor", [(0, 0, 2, 0, 0), (0, 0, 1, 8, 0), (0, 0, 65535, 0, 0), (0, 0, 1, 2**31, 0)]
)
def test_values_that_are_not_there(
    file: Callable[..., int], descriptor: tuple[int, int, int, int, int]
) -> None:
    fd = file(descriptor, data=(1,))
    layout = Layout(fd)
    with pytest.raises(OSError, match="data of"):
        layout.values(fd)


def test_a_value_between_two_words(file: Callable[..., int]) -> None:
    with pytest.raises(OSError, match="stat0 at 4, between two words"):
        Layout(file((0, 0, 1, 4, 0), data=(1, 2)))


def test_no_file_of_statistics_at_all(file: Callable[..., int]) -> None:
    fd = file()
    os.ftruncate(fd, 0)
    with pytest.raises(OSError, match="header of 24 bytes at 0 should be there, and 0 are"):
        Layout(fd)
