# SPDX-License-Identifier: Apache-2.0
"""The virtio disk, on a real file."""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from minivmm.endings import BadInput
from minivmm.virtio.blk import F_FLUSH, IO_ERROR, OK, READ_ONLY, UNSUPPORTED, Blk, Kind
from minivmm.virtio.disk import Disk
from minivmm.virtio.transport import INDIRECT_DESC, NEEDS_RESET, Reg

from tests.unit.vmm.driver import BUFFERS, NEXT, WRITE, Driver

SECTORS = 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "disk"
    made.write_bytes(b"".join(bytes([number]) * 512 for number in range(SECTORS)))
    return made


@pytest.fixture
def driver(path: Path) -> Iterator[Driver]:
    with Disk(path) as disk:
        made = Driver(Blk(disk, "disk0"), size=32)
        made.set_up(INDIRECT_DESC)
        yield made


def header(kind: int, sector: int = 0) -> bytes:
    return struct.pack("<IIQ", kind, 0, sector)


def ask(driver: Driver, send: list[bytes], room: list[int]) -> tuple[int, bytes, int]:
    """Status, data, and how much was written."""
    written, parts = driver.request(0, send, [*room, 1])
    return parts[-1][0], b"".join(parts[:-1]), written


def test_it_tells_its_size(driver: Driver) -> None:
    assert driver.transport.read(Reg.CONFIG, 8) == SECTORS
    assert driver.transport.read(Reg.CONFIG + 20, 4) == 512


def test_reading_in_pieces(driver: Driver) -> None:
    told = ask(driver, [header(Kind.IN, 3)], [100, 412, 512])
    assert told == (OK, b"\3" * 512 + b"\4" * 512, 1025)


def test_the_guest_may_cut_the_header_anywhere(driver: Driver) -> None:
    whole = header(Kind.OUT, 5) + b"x" * 512
    assert ask(driver, [whole[:3], whole[3:20], whole[20:]], [])[0] == OK
    assert ask(driver, [header(Kind.IN, 5)], [512])[1] == b"x" * 512


@pytest.mark.parametrize(("segments", "works"), [(254, True), (255, False)])
def test_a_request_has_as_many_segments_as_was_promised(
    path: Path, segments: int, works: bool
) -> None:
    """The descriptor that leads to a table of them is none of the chain."""
    with Disk(path) as disk:
        driver = Driver(Blk(disk), size=256)
        driver.set_up(INDIRECT_DESC)
        assert driver.transport.read(Reg.CONFIG + 12, 4) == 254
        send = [header(Kind.OUT), *[b"xy"] * segments]
        send[-1] += b"z" * (512 - 2 * segments)
        if works:
            assert driver.request(0, send, [1], indirect=True)[1] == [bytes((OK,))]
            assert path.read_bytes()[:512] == b"xy" * segments + b"z" * (512 - 2 * segments)
        else:
            with pytest.raises(AssertionError, match="not given back"):
                driver.request(0, send, [1], indirect=True)
            assert driver.get(Reg.STATUS) & NEEDS_RESET
            assert "circle" in driver.transport.complaint


def test_writing_reaches_the_file(driver: Driver, path: Path) -> None:
    assert ask(driver, [header(Kind.OUT, 63), b"\xee" * 512], [])[0] == OK
    assert ask(driver, [header(Kind.FLUSH)], [])[0] == OK
    assert path.read_bytes()[63 * 512 :] == b"\xee" * 512


@pytest.mark.parametrize(
    ("send", "room"),
    [
        ([header(Kind.IN, 63)], [1024]),
        ([header(Kind.IN, 64)], [512]),
        ([header(Kind.IN, 2**64 - 1)], [512]),
        ([header(Kind.IN, 0)], [511]),
        ([header(Kind.OUT, 63), bytes(1024)], []),
        ([header(Kind.OUT, 2**60), bytes(512)], []),
        ([header(Kind.OUT, 0), bytes(1)], []),
        ([header(Kind.DISCARD), struct.pack("<QII", 60, 5, 0)], []),
        ([header(Kind.DISCARD), bytes(15)], []),
        ([header(Kind.DISCARD)], []),
    ],
)
def test_what_is_beyond_the_disk_is_an_error(
    driver: Driver, path: Path, send: list[bytes], room: list[int]
) -> None:
    before = path.read_bytes()
    assert ask(driver, send, room)[0] == IO_ERROR
    assert path.read_bytes() == before


def test_unknown_requests_and_flags_are_not_supported(driver: Driver) -> None:
    assert ask(driver, [header(99)], [])[0] == UNSUPPORTED
    assert ask(driver, [header(Kind.DISCARD), struct.pack("<QII", 0, 1, 1)], [])[0] == UNSUPPORTED


def test_its_name(driver: Driver) -> None:
    assert ask(driver, [header(Kind.GET_ID)], [20])[1] == b"disk0".ljust(20, b"\0")


@pytest.mark.parametrize("kind", [Kind.DISCARD, Kind.WRITE_ZEROES])
def test_discarding_makes_holes(driver: Driver, path: Path, kind: int) -> None:
    size = path.stat().st_size
    ranges = struct.pack("<QIIQII", 8, 16, 0, 40, 1, 0)
    assert ask(driver, [header(kind), ranges], [])[0] == OK
    data = path.read_bytes()
    assert len(data) == size
    assert [number for number in range(1, SECTORS) if not data[number * 512]] == [*range(8, 24), 40]


def test_a_read_only_disk_stays_as_it_is(path: Path) -> None:
    with Disk(path, read_only=True) as disk:
        driver = Driver(Blk(disk), size=32)
        assert driver.offered() & READ_ONLY
        driver.set_up()
        assert ask(driver, [header(Kind.OUT, 0), b"x" * 512], [])[0] == IO_ERROR
        assert ask(driver, [header(Kind.WRITE_ZEROES), struct.pack("<QII", 0, 1, 0)], [])[0] == 2
        assert ask(driver, [header(Kind.FLUSH)], [])[0] == OK
    assert path.read_bytes()[:512] == bytes(512)


def test_a_request_without_room_for_its_status_breaks_the_device(driver: Driver) -> None:
    driver.describe(driver.rings(0)[0], 0, *driver.buffer(header(Kind.FLUSH)), 0, 0)
    driver.offer(0, 0)
    driver.set(Reg.QUEUE_NOTIFY, 0)
    assert driver.get(Reg.STATUS) & NEEDS_RESET


def test_a_file_that_shrank_gives_errors(driver: Driver, path: Path) -> None:
    os.truncate(path, 512)
    assert ask(driver, [header(Kind.IN, 1)], [512])[0] == IO_ERROR


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b""), "whole sectors"),
        (lambda path: path.write_bytes(bytes(700)), "whole sectors"),
        (lambda path: path.mkdir(), "Is a directory"),
    ],
)
def test_what_is_no_disk_is_told(tmp_path: Path, make: object, words: str) -> None:
    make(tmp_path / "it")  # type: ignore[operator]
    with pytest.raises(BadInput, match=words):
        Disk(tmp_path / "it")
    with pytest.raises(BadInput):
        Disk(tmp_path / "it", read_only=True)


def partitioned(sectors: int) -> bytes:
    """The start of a disk whose partition table says how large it is."""
    return bytes(512) + struct.pack("<8s24xQ", b"EFI PART", sectors - 1).ljust(512, b"\0")


def ext4(blocks: int, *, log_size: int = 2) -> bytes:
    return bytes(1024) + struct.pack("<4xI16xI28xH", blocks, log_size, 0xEF53).ljust(1024, b"\0")


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (partitioned(17), "8192 bytes, but its GUID partition table has 8704"),
        (ext4(3), "8192 bytes, but its ext4 file system has 12288"),
        (ext4(9, log_size=0), "has 9216"),
    ],
)
def test_a_disk_that_is_shorter_than_it_says_is_told(path: Path, start: bytes, words: str) -> None:
    path.write_bytes(start.ljust(8192, b"\0"))
    with pytest.raises(BadInput, match=words):
        Disk(path)


@pytest.mark.parametrize("start", [partitioned(16), partitioned(15), ext4(2), ext4(8, log_size=0)])
def test_a_disk_that_is_as_long_as_it_says_is_taken(path: Path, start: bytes) -> None:
    path.write_bytes(start.ljust(8192, b"\0"))
    with Disk(path) as disk:
        assert disk.sectors == 16


def test_two_guests_cannot_write_to_one_disk(path: Path) -> None:
    with Disk(path), pytest.raises(BadInput, match="in use"):
        Disk(path)
    with Disk(path, read_only=True), Disk(path):
        pass


def fail(number: int) -> Callable[..., int]:
    def failing(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return failing


@pytest.mark.parametrize("features", [0, F_FLUSH])
def test_a_driver_without_flushes_takes_what_was_written_for_safe(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, features: int
) -> None:
    """Section 5.2.6.2. U-Boot's driver is such a one."""
    flushes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushes.append)
    again = Driver(driver.transport.device, size=32)
    again.set_up(features)
    for number, send in enumerate(
        (
            [header(Kind.OUT, 5), bytes(512)],
            [header(Kind.DISCARD), struct.pack("<QII", 0, 1, 0)],
            [header(Kind.WRITE_ZEROES), struct.pack("<QII", 0, 1, 0)],
        ),
        1,
    ):
        flushes.clear()
        assert ask(again, send, [])[0] == OK
        assert len(flushes) == (0 if features else 1), number
    monkeypatch.setattr(os, "fdatasync", fail(errno.EIO))
    told = ask(again, [header(Kind.OUT, 5), bytes(512)], [])[0]
    assert told == (OK if features else IO_ERROR)
    monkeypatch.undo()


def test_a_flush_that_fails_at_a_reset_is_told_to_whoever_flushes_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Disk(path) as disk:
        driver = Driver(Blk(disk), size=32)
        driver.set_up(F_FLUSH)
        monkeypatch.setattr(os, "fdatasync", fail(errno.EIO))
        driver.set(Reg.STATUS, 0)
        driver.transport.device.close()
        monkeypatch.undo()  # the kernel says it once
        again = Driver(Blk(disk), size=32)
        again.set_up(F_FLUSH)
        assert ask(again, [header(Kind.FLUSH)], [])[0] == IO_ERROR
        assert ask(again, [header(Kind.FLUSH)], [])[0] == OK


def test_a_flush_that_fails_at_the_end_is_told_to_the_user(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(path)
    monkeypatch.setattr(os, "fdatasync", fail(errno.ENOSPC))
    with pytest.raises(BadInput, match=r"disk .*: No space left on device: .* may be lost"), disk:
        pass
    monkeypatch.undo()
    with Disk(path):  # which was let go of all the same
        pass


def test_zeros_that_find_no_room_are_an_error(
    driver: Driver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that makes no holes and is full."""
    write = os.pwrite
    monkeypatch.setattr("minivmm.virtio.disk._fallocate", lambda *_: False)
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:100], at))
    told = ask(driver, [header(Kind.WRITE_ZEROES), struct.pack("<QII", 8, 1, 0)], [])
    assert told[0] == IO_ERROR
    assert path.read_bytes()[8 * 512 + 100] == 8


@pytest.mark.parametrize("what", ["file", "block device"])
@pytest.mark.parametrize("flags", [0, 1])
def test_zeros_keep_their_room_unless_the_guest_gives_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, what: str
) -> None:
    path = tmp_path / "large"
    if what == "block device":  # of which fallocate() frees blocks just so
        monkeypatch.setattr(stat, "S_ISREG", lambda _: False)
        monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)
    path.write_bytes(b"x" * (1 << 20))
    with Disk(path) as disk:
        driver = Driver(Blk(disk), size=32)
        driver.set_up()
        ranges = struct.pack("<QII", 0, 2048, flags)
        assert ask(driver, [header(Kind.WRITE_ZEROES), ranges], [])[0] == OK
    assert not any(path.read_bytes())
    assert (path.stat().st_blocks >= 2048) is not bool(flags)


def test_a_request_is_as_large_as_firmware_s(tmp_path: Path) -> None:
    """EDK2 and U-Boot read a file of any size in one request, where it lies in one piece."""
    path, size = tmp_path / "sparse", 128 << 20
    with path.open("wb") as file:
        file.truncate(size)
    with Disk(path) as disk:
        driver = Driver(Blk(disk), size=256)
        driver.set_up()
        table, _, used = driver.rings(0)
        gpa, room = BUFFERS + 0x1000, 512 << 10
        driver.describe(table, 0, *driver.buffer(header(Kind.IN)), NEXT, 1)
        count = size // room - 2
        for number in range(1, count + 1):
            driver.describe(table, number, gpa, room, WRITE | NEXT, number + 1)
        driver.describe(table, count + 1, *driver.buffer(b"\xff"), WRITE, 0)
        driver.offer(0, 0)
        driver.set(Reg.QUEUE_NOTIFY, 0)
        assert driver.peek(used + 2, "<HII") == (1, 0, count * room + 1)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_pipe_is_no_disk_and_is_not_waited_for(tmp_path: Path, read_only: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    told: list[BaseException] = []

    def look() -> None:
        try:
            Disk(tmp_path / "pipe", read_only=read_only)
        except BadInput as failure:
            told.append(failure)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(20)
    assert [str(failure).rpartition(": ")[2] for failure in told] == [
        "neither a file nor a block device"
    ]


def test_a_disk_that_cannot_be_read_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pread", fail(errno.EIO))
    with pytest.raises(BadInput, match="Input/output error"):
        Disk(path)
    monkeypatch.undo()
    with Disk(path):
        pass
