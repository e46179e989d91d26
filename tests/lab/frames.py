# SPDX-License-Identifier: Apache-2.0
"""The words between the lab and its agent in the emulated host, over one virtio-serial port.

A frame is a kind (1 byte), a length (4 bytes, big endian) and that many bytes. Both sides use this
file.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator

HEAD = struct.Struct(">BI")
CHUNK = 32 * 1024  # what Linux's virtio-serial port takes in one write
PORT = "pykvm.lab"


class Kind(enum.IntEnum):
    """What a frame carries."""

    READY = 1  # agent: waiting for a job; JSON about the host
    FILES = 2  # lab: a piece of a tar archive to unpack at /; empty: the end
    JOB = 3  # lab: JSON: argv, env, cwd, time, entropy, terminal, out
    INPUT = 4  # lab: bytes for the command's stdin; empty: the end
    RESIZE = 5  # lab: JSON: rows, columns
    STOP = 6  # lab: the time is over: kill the command, then go on as if it had ended
    STDOUT = 7  # agent
    STDERR = 8  # agent
    OUT = 9  # agent: a piece of a tar archive of $OUT; empty: the end
    EXIT = 10  # agent: JSON: the wait status; the last frame
    STARTED = 11  # agent: the command runs from now on


def frame(kind: Kind, data: bytes = b"") -> bytes:
    """The bytes of one frame."""
    return HEAD.pack(kind, len(data)) + data


class Decoder:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """The frames that these bytes complete."""
        self._pending += data
        while len(self._pending) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._pending)
            end = HEAD.size + length
            if len(self._pending) < end:
                return
            body = bytes(self._pending[HEAD.size : end])
            del self._pending[:end]
            yield Kind(kind), body
