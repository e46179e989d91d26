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
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 0x10


class Disk:
    """``read_only`` also where the file cannot be written."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        access = os.O_RDONLY if read_only else os.O_RDWR
        try:  # without waiting for the other end of what turns out to be a pipe
            self._fd = os.open(path, os.O_CLOEXEC | os.O_NONBLOCK | access)
        except OSError as failure:
            raise BadInput(f"disk {path}: {failure.strerror}") from None
        os.set_blocking(self._fd, True)
        self._path = path
        self._unheard: OSError | None = None
        self.read_only = read_only
        mode = os.fstat(self._fd).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            os.close(self._fd)
            raise BadInput(f"disk {path}: neither a file nor a block device")
        size = os.lseek(self._fd, 0, os.SEEK_END)
        if not size or size % SECTOR:
            os.close(self._fd)
            raise BadInput(f"disk {path}: {size} bytes; a disk is whole sectors of {SECTOR}")
        try:
            said = _size_by_content(self._fd, size)
        except OSError as failure:
            os.close(self._fd)
            raise BadInput(f"disk {path}: {failure.strerror}") from None
        if said:
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
        """What was written is safe. OSError: it may not be, or was not when settle() looked."""
        if not self.read_only:
            os.fdatasync(self._fd)
        unheard, self._unheard = self._unheard, None
        if unheard:
            raise unheard

    def settle(self) -> None:
        """As flush(), where no guest asks. The kernel tells of a failure once; it is kept for who
        asks next."""
        try:
            self.flush()
        except OSError as failure:
            self._unheard = failure

    def clear(self, sector: int, count: int, *, hole: bool) -> None:
        """Zeros; with ``hole``, what is behind the disk need not keep them in blocks of its own."""
        how = _KEEP_SIZE | (_PUNCH_HOLE if hole else _ZERO_RANGE)
        if _fallocate(self._fd, how, sector * SECTOR, count * SECTOR):
            return
        end = (sector + count) * SECTOR
        zeros = bytes(min(1 << 20, count * SECTOR))
        for offset in range(sector * SECTOR, end, len(zeros) or 1):
            part = zeros[: end - offset]
            if os.pwrite(self._fd, part, offset) != len(part):
                raise OSError("no room for all of the zeros")

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            try:
                self.flush()
            finally:
                os.close(self._fd)
        except OSError as failure:
            words = f"{failure.strerror}: what was written last may be lost"
            raise BadInput(f"disk {self._path}: {words}") from None


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


def _fallocate(fd: int, how: int, offset: int, size: int) -> bool:
    """fallocate(2), which Python's os has not: whether it was done."""
    import ctypes  # slow to load, and few guests need it

    if not size:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    words = (fd, how, ctypes.c_longlong(offset), ctypes.c_longlong(size))
    return bool(libc.fallocate(*words) == 0)
