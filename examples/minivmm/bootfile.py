# SPDX-License-Identifier: Apache-2.0
"""A file that goes into the guest's memory as it is: read where it is to lie, never copied."""

from __future__ import annotations

from pathlib import Path

from minivmm.endings import BadInput
from minivmm.layout import GIB

LARGEST = 1 * GIB


class BootFile:
    """It is looked at now, and read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not path.is_file():
                raise BadInput(f"{path}: {'not a file' if path.exists() else 'no such file'}")
            self._size = path.stat().st_size
        except OSError as failure:
            raise BadInput(f"{path}: {failure.strerror}") from None
        if self._size > LARGEST:
            raise BadInput(f"{path}: {self._size} bytes are too large for a boot file")
        if not self._size:
            raise BadInput(f"{path}: the file is empty")

    def __len__(self) -> int:
        return self._size

    def first(self, size: int) -> bytes:
        """Its first bytes, as many as there are."""
        data = bytearray(min(size, self._size))
        self.into(memoryview(data))
        return bytes(data)

    def whole(self) -> bytes:
        return self.first(self._size)

    def into(self, memory: memoryview) -> None:
        """Fills ``memory`` from the file's start."""
        done = 0
        try:
            with self.path.open("rb", buffering=0) as stream:
                while done < len(memory):
                    if not (more := stream.readinto(memory[done:])):
                        raise BadInput(f"{self.path}: it became shorter while it was read")
                    done += more
        except OSError as failure:
            raise BadInput(f"{self.path}: {failure.strerror}") from None
