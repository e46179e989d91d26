# SPDX-License-Identifier: Apache-2.0
"""Kernels and initrds: what is in the files, and where it goes in memory.

A kernel starts at the beginning of memory; the device tree takes the last 2 MiB of the first GiB
(arm64 kernels map it as one block), the initrd lies right below.
Source: Documentation/arch/arm64/booting.rst.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from minivmm.bootfile import LARGEST, BootFile
from minivmm.endings import BadInput
from minivmm.layout import GIB, MIB
from minivmm.ram import Ram

_FLAT_OFFSET = 0x8_0000
_TREE_ROOM = 2 * MIB
_PAGE = 64 << 10  # the largest that a kernel may have
_LOOKED_AT = 64 << 10  # of a kernel: its header, and the table of its sections

_HEADER = struct.Struct("<8x3Q24x4s4x")
_BIG_ENDIAN = 1
#: Kernels of other machines, by what they have where.
_OTHERS = (
    (0x202, b"HdrS", "x86"),
    (0x24, b"\x18\x28\x6f\x01", "32-bit Arm"),
    (0x38, b"RSC\x05", "RISC-V"),
)


class Kernel(NamedTuple):
    """A kernel as it goes into memory: ``data`` at ``offset`` from its start.

    ``room`` is what it takes there, with what it clears beyond its data (bss).
    """

    data: bytes | BootFile
    offset: int
    room: int


class Placed(NamedTuple):
    """Where things came to be: guest physical addresses."""

    entry: int
    tree: int
    initrd: range | None


def load_kernel(path: Path, *, flat: bool = False) -> Kernel:
    """A kernel: an arm64 Image, plain, gzipped or as EFI zboot; ``flat``: any bytes."""
    file = BootFile(path)
    if flat:
        return Kernel(file, _FLAT_OFFSET, len(file))
    start = file.first(_LOOKED_AT)
    if start[:2] != b"\x1f\x8b" and start[4:8] != b"zimg":
        return _arm64_image(path, file, start)
    data = file.whole()
    if data[:2] == b"\x1f\x8b":
        data = _unpacked(path, data, "gzip")
    if data[4:8] == b"zimg":
        data = _zboot_payload(path, data)
    return _arm64_image(path, data, data[:_LOOKED_AT])


def place(ram: Ram, kernel: Kernel, initrd: bytes | BootFile | None) -> Placed:
    """Puts kernel and initrd into memory, and says where the device tree is to go."""
    top = ram.start + min(ram.size, GIB) & -_TREE_ROOM
    tree = top - _TREE_ROOM
    first = (tree - len(initrd)) & -_PAGE if initrd else tree
    end = ram.start + kernel.offset + kernel.room
    if first < end:
        blocks = (end - ram.start + tree - first + _TREE_ROOM - 1) // _TREE_ROOM + 1
        raise BadInput(
            f"{ram.size // MIB} MiB of memory are too little: kernel, initrd and device tree "
            f"take {blocks * _TREE_ROOM // MIB} MiB"
        )
    _put(ram, ram.start + kernel.offset, kernel.data)
    if initrd:
        _put(ram, first, initrd)
    return Placed(
        ram.start + kernel.offset, tree, range(first, first + len(initrd)) if initrd else None
    )


def _put(ram: Ram, gpa: int, data: bytes | BootFile) -> None:
    if isinstance(data, BootFile):
        data.into(ram.slice(gpa, len(data)))
    else:
        ram.write(gpa, data)


def put_tree(ram: Ram, placed: Placed, tree: bytes) -> None:
    if len(tree) > _TREE_ROOM:
        raise BadInput(f"the device tree takes {len(tree)} bytes; kernels map 2 MiB")
    ram.write(placed.tree, tree)


def dump(path: Path, tree: bytes) -> None:
    try:
        path.write_bytes(tree)
    except OSError as failure:
        raise BadInput(f"{path}: {failure.strerror}") from None


def _unpacked(path: Path, data: bytes | memoryview, kind: str) -> bytes:
    """Decompressed; a packed file may have other bytes after its end, and EFI zboot does."""
    unpacker: Any
    damaged: tuple[type[Exception], ...] = (zlib.error,)
    if kind == "gzip":
        unpacker = zlib.decompressobj(wbits=31)
    elif kind in ("xz", "xzkern", "lzma"):
        import lzma  # slow to load, and few kernels need it

        damaged, unpacker = (lzma.LZMAError,), lzma.LZMADecompressor()
    else:
        raise BadInput(f"{path}: packed by {kind!r}, which is not known here; give it unpacked")
    try:
        plain: bytes = unpacker.decompress(data, LARGEST)
    except damaged as failure:
        raise BadInput(f"{path}: damaged {kind} data ({failure})") from None
    if not unpacker.eof:
        raise BadInput(f"{path}: truncated {kind} data")
    return plain


def _zboot_payload(path: Path, data: bytes) -> bytes:
    """The kernel inside an EFI program that unpacks itself (CONFIG_EFI_ZBOOT)."""
    if len(data) < 56:
        raise BadInput(f"{path}: a truncated EFI zboot image")
    start, size = struct.unpack_from("<8x2I", data)
    if start + size > len(data):
        raise BadInput(
            f"{path}: truncated: an EFI zboot image whose payload ends at byte {start + size} "
            f"of {len(data)}"
        )
    kind = data[24:56].split(b"\0")[0].decode("ascii", "replace")
    return _unpacked(path, memoryview(data)[start : start + size], kind)


def _arm64_image(path: Path, data: bytes | BootFile, start: bytes) -> Kernel:
    """``start``: the data's first bytes, where all that tells of it is."""
    if len(start) < _HEADER.size or start[0x38:0x3C] != b"ARMd":
        raise BadInput(f"{path}: not an arm64 kernel{_what_instead(start)}")
    offset, room, flags, _ = _HEADER.unpack_from(start)
    if flags & _BIG_ENDIAN:
        raise BadInput(f"{path}: a big-endian kernel, which this VMM does not start")
    if not room:  # before 3.17: the offset is fixed, and nothing is said of the bss
        offset, room = _FLAT_OFFSET, len(data) + 16 * MIB
    if offset >= 2 * MIB or room > LARGEST:
        raise BadInput(f"{path}: a damaged arm64 kernel: offset {offset:#x}, size {room:#x}")
    if (whole := _size_by_pe_header(start)) > len(data):
        raise BadInput(f"{path}: truncated: {len(data)} bytes of a kernel of {whole}")
    return Kernel(data, offset, max(room, len(data)))


def _size_by_pe_header(data: bytes) -> int:
    """A kernel is an EFI program as well: its sections tell where the file ends. 0: not told."""
    start = int.from_bytes(data[0x3C:0x40], "little")
    if data[:2] != b"MZ" or data[start : start + 4] != b"PE\0\0" or start + 24 > len(data):
        return 0
    sections, optional = struct.unpack_from("<6xH12xH", data, start)
    table = start + 24 + optional
    ends = [0]
    for entry in range(table, min(table + 40 * sections, len(data) - 40), 40):
        size, at = struct.unpack_from("<16x2I", data, entry)
        ends.append(at + size)
    return max(ends)


def _what_instead(data: bytes) -> str:
    known = {
        b"\x7fELF": " but an ELF file; give arch/arm64/boot/Image",
        b"070701": " but a cpio archive, such as an initrd is",
        b"\x28\xb5\x2f\xfd": " but zstd data",
        b"\xd0\x0d\xfe\xed": " but a device tree",
    }
    for magic, words in known.items():
        if data.startswith(magic):
            return words
    for offset, magic, machine in _OTHERS:
        if data[offset : offset + 4] == magic:
            return f" but one for {machine}"
    return " (no magic number at 0x38)"
