# SPDX-License-Identifier: Apache-2.0
"""The file behind a disk, in sectors of 512 bytes. It outlives a reset of the guest."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from minivmm.endings import BadInput

SECTOR = 512
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


class Disk:
    """``read_only`` also where the file cannot be written."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        try:
            self._fd = os.open(path, os.O_CLOEXEC | (os.O_RDONLY if read_only else os.O_RDWR))
        except OSError as failure:
            raise BadInput(f"disk {path}: {failure.strerror}") from None
        self.read_only = read_only
        mode = os.fstat(self._fd).st_mode
        self._is_file = stat.S_ISREG(mode)
        if not self._is_file and not stat.S_ISBLK(mode):
            os.close(self._fd)
            raise BadInput(f"disk {path}: neither a file nor a block device")
        size = os.lseek(self._fd, 0, os.SEEK_END)
        if not size or size % SECTOR:
            os.close(self._fd)
            raise BadInput(f"disk {path}: {size} bytes; a disk is whole sectors of {SECTOR}")
        if said := _size_by_content(self._fd, size):
            os.close(self._fd)
            raise BadInput(f"disk {path}: truncated: {size} bytes, but its {said[0]} has {said[1]}")
        if not read_only:
            self._lock(path)
        self.sectors = size // SECTOR

    def _lock(self, path: Path) -> None:
        """Two guests that write to one file destroy it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise BadInput(f"disk {path}: another program has it in use") from None

    def has(self, sector: int, size: int) -> bool:
        return size % SECTOR == 0 and sector + size // SECTOR <= self.sectors

    def read(self, sector: int, into: Sequence[memoryview], size: int) -> bool:
        """Whether all of it was there to be read."""
        return self.has(sector, size) and os.preadv(self._fd, into, sector * SECTOR) == size

    def write(self, sector: int, data: Sequence[memoryview], size: int) -> bool:
        if self.read_only or not self.has(sector, size):
            return False
        return os.pwritev(self._fd, data, sector * SECTOR) == size

    def flush(self) -> None:
        if not self.read_only:
            os.fdatasync(self._fd)

    def clear(self, sector: int, count: int) -> None:
        """Zeros, which a file need not keep in blocks of its own."""
        if self._is_file and _fallocate(self._fd, sector * SECTOR, count * SECTOR):
            return
        end = (sector + count) * SECTOR
        zeros = bytes(min(1 << 20, count * SECTOR))
        for offset in range(sector * SECTOR, end, len(zeros) or 1):
            os.pwrite(self._fd, zeros[: end - offset], offset)

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        os.close(self._fd)


def _size_by_content(fd: int, size: int) -> tuple[str, int] | None:
    """What says that there should be more than ``size`` bytes, and how many; None: nothing does."""
    start = os.pread(fd, 4096, 0).ljust(4096, b"\0")
    if start[512:520] == b"EFI PART":
        (last,) = struct.unpack_from("<32xQ", start, 512)
        said = "GUID partition table", (last + 1) * SECTOR
    elif start[1080:1082] == b"\x53\xef" and (shift := start[1048]) <= 6:
        (blocks,) = struct.unpack_from("<I", start, 1028)
        said = "ext4 file system", blocks << 10 + shift
    else:
        return None
    return said if said[1] > size else None


def _fallocate(fd: int, offset: int, size: int) -> bool:
    """fallocate(2), which Python's os has not: whether a hole was made."""
    import ctypes  # slow to load, and few guests need it

    if not size:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    words = (fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_longlong(offset), ctypes.c_longlong(size))
    return bool(libc.fallocate(*words) == 0)
