# SPDX-License-Identifier: Apache-2.0
"""Kernels and initrds of the minimal VMM: what is taken, where it goes, what is refused."""

from __future__ import annotations

import gzip
import lzma
import os
import struct
from pathlib import Path

import pytest
from minivmm import image
from minivmm.bootfile import BootFile
from minivmm.endings import BadInput
from minivmm.layout import GIB, MIB, RAM
from minivmm.ram import Ram

from pykvm import GuestMemory


def an_image(*, offset: int = 0, room: int = 3 * MIB, flags: int = 0xA, size: int = MIB) -> bytes:
    head = struct.pack("<8s3Q24x4sI", b"MZ\0\0\0\0\0\0", offset, room, flags, b"ARMd", 0)
    return head.ljust(size, b"\x5a")


def zboot(payload: bytes, kind: bytes) -> bytes:
    head = struct.pack("<2s2x4s2I8x32s", b"MZ", b"zimg", 512, len(payload), kind)
    return head.ljust(512, b"\0") + payload + b"what signs it"


def load(tmp_path: Path, data: bytes, **options: bool) -> image.Kernel:
    (tmp_path / "kernel").write_bytes(data)
    return image.load_kernel(tmp_path / "kernel", **options)


@pytest.mark.parametrize(
    "pack",
    [
        lambda plain: plain,
        gzip.compress,
        lambda plain: zboot(gzip.compress(plain), b"gzip"),
        lambda plain: zboot(lzma.compress(plain), b"xz"),
    ],
    ids=["plain", "gzip", "zboot-gzip", "zboot-xz"],
)
def test_a_kernel_is_found_in_every_wrapping(tmp_path: Path, pack: object) -> None:
    plain = an_image(offset=0x8_0000)
    kernel = load(tmp_path, pack(plain))  # type: ignore[operator]
    assert (kernel.offset, kernel.room) == (0x8_0000, 3 * MIB)
    ram = Ram(RAM, GuestMemory(8 * MIB))
    entry = image.place(ram, kernel, None).entry
    assert bytes(ram.slice(entry, len(plain) + 1)) == plain + b"\0"


def test_an_old_kernel_tells_no_size_and_gets_room_to_spare(tmp_path: Path) -> None:
    kernel = load(tmp_path, an_image(room=0))
    assert kernel.offset == 0x8_0000
    assert kernel.room > 2 * MIB


def with_sections(end: int) -> bytes:
    data = bytearray(an_image())
    struct.pack_into("<I", data, 0x3C, 0x40)
    struct.pack_into("<4sHH12xHH", data, 0x40, b"PE\0\0", 0xAA64, 1, 16, 0)
    struct.pack_into("<16x2I", data, 0x40 + 24 + 16, end - 0x1000, 0x1000)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"\x7fELF" + bytes(100), "ELF"),
        (bytes(1000), "not an arm64 kernel"),
        (b"\0" * 0x202 + b"HdrS" + bytes(100), "x86"),
        (b"\0" * 0x24 + b"\x18\x28\x6f\x01" + bytes(100), "32-bit Arm"),
        (b"\0" * 0x38 + b"RSC\x05" + bytes(100), "RISC-V"),
        (an_image(flags=1), "big-endian"),
        (an_image(offset=3 * MIB), "damaged"),
        (gzip.compress(an_image())[:-9], "truncated gzip data"),
        (b"\x1f\x8b" + b"\xff" * 50, "damaged gzip data"),
        (zboot(gzip.compress(an_image()), b"gzip")[:600], "truncated"),
        (zboot(b"12", b"zstd22"), "zstd22"),
        (b"MZ\0\0zimg", "truncated"),
        (with_sections(MIB + 1), "truncated"),
    ],
)  # fmt: skip
def test_what_is_no_kernel_is_told_in_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        load(tmp_path, data)
    assert "\n" not in str(caught.value)


def test_a_whole_kernel_by_its_sections_is_taken(tmp_path: Path) -> None:
    load(tmp_path, with_sections(MIB))


def test_missing_files_and_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        image.load_kernel(tmp_path / "nothing")
    with pytest.raises(BadInput, match="not a file"):
        BootFile(tmp_path)


def test_a_file_that_becomes_shorter_is_told(tmp_path: Path) -> None:
    kernel = load(tmp_path, an_image())
    os.truncate(tmp_path / "kernel", 1000)
    with pytest.raises(BadInput, match="shorter while it was read"):
        image.place(Ram(RAM, GuestMemory(8 * MIB)), kernel, None)


def test_kernel_initrd_and_tree_lie_apart() -> None:
    ram = Ram(RAM, GuestMemory(16 * MIB))
    kernel = image.Kernel(b"K" * MIB, 0x1000, 3 * MIB)
    placed = image.place(ram, kernel, b"I" * (MIB + 1))
    assert placed.entry == RAM + 0x1000
    assert placed.tree == RAM + 14 * MIB
    assert placed.initrd is not None
    assert len(placed.initrd) == MIB + 1
    assert placed.initrd.start >= RAM + 0x1000 + 3 * MIB
    assert placed.initrd.stop <= placed.tree
    assert bytes(ram.slice(placed.initrd.start, 3)) == b"III"
    assert bytes(ram.slice(placed.entry + MIB - 1, 2)) == b"K\0"


def test_too_little_memory_is_told_with_what_it_takes() -> None:
    ram = Ram(RAM, GuestMemory(4 * MIB))
    with pytest.raises(BadInput, match="take 6 MiB"):
        image.place(ram, image.Kernel(b"K", 0, 3 * MIB), None)
    image.place(Ram(RAM, GuestMemory(6 * MIB)), image.Kernel(b"K", 0, 3 * MIB), None)


def test_a_flat_program_has_room_up_to_the_tree(tmp_path: Path) -> None:
    ram = Ram(RAM, GuestMemory(8 * MIB))
    placed = image.place(ram, load(tmp_path, b"\0" * 100, flat=True), None)
    assert (placed.entry, placed.tree) == (RAM + 0x8_0000, RAM + 6 * MIB)


def test_the_tree_stays_in_the_first_gib() -> None:
    class Huge(Ram):
        def write(self, gpa: int, data: bytes | bytearray | memoryview) -> None:
            pass

    ram = Huge(RAM, GuestMemory(MIB))
    ram.size = 8 * GIB
    assert image.place(ram, image.Kernel(b"K", 0, MIB), None).tree == RAM + GIB - 2 * MIB
