# SPDX-License-Identifier: Apache-2.0
"""Archives in the form that the kernel unpacks as its first file system ("newc" cpio)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class Writer:
    """Writes entries in order; plain archives may be laid end to end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._serial = 0

    def add(self, name: str, mode: int, data: bytes = b"", mtime: int = 0) -> None:
        """One entry: `mode` with its file type; a symbolic link's data is its target."""
        self._serial += 1
        path = os.fsencode(name) + b"\0"
        fields = (self._serial, mode, 0, 0, 1, mtime, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        for part in (head, data):
            self._stream.write(part + b"\0" * (-len(part) % 4))

    def directory(self, name: str, mode: int = 0o755) -> None:
        """A directory; its parents have to be there already."""
        self.add(name, stat.S_IFDIR | mode)

    def file(self, name: str, data: bytes, mode: int = 0o644, mtime: int = 0) -> None:
        """A regular file."""
        self.add(name, stat.S_IFREG | mode, data, mtime)

    def tree(self, top: Path, prefix: str = "") -> None:
        """Everything under `top`, owned by root."""
        for folder, folders, files in os.walk(top):
            folders.sort()
            for name in sorted(folders + files):
                path = Path(folder, name)
                seen = path.lstat()
                inside = prefix + str(path.relative_to(top))
                if stat.S_ISLNK(seen.st_mode):
                    self.add(inside, seen.st_mode, os.fsencode(os.readlink(path)))
                elif stat.S_ISDIR(seen.st_mode):
                    self.add(inside, seen.st_mode)
                elif stat.S_ISREG(seen.st_mode):
                    self.add(inside, seen.st_mode, path.read_bytes(), int(seen.st_mtime))

    def close(self) -> None:
        """Write the trailer. The stream stays open."""
        self.add("TRAILER!!!", 0)
        self._stream.write(b"\0" * (-self._stream.tell() % 512))
