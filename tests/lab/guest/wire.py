# SPDX-License-Identifier: Apache-2.0
"""The agent's end of the port to the lab."""

from __future__ import annotations

import contextlib
import io
import os
import select
import time
from pathlib import Path
from typing import Any

from tests.lab.frames import CHUNK, PORT, Decoder, Kind, frame


class Channel:
    """The port to the lab."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._decoder = Decoder()
        self._frames: list[tuple[Kind, bytes]] = []

    def send(self, kind: Kind, data: bytes = b"") -> None:
        rest = memoryview(frame(kind, data))
        while rest:
            rest = rest[os.write(self.descriptor, rest[:CHUNK]) :]

    def read_ready(self) -> list[tuple[Kind, bytes]]:
        """Frames that one read brings; to be called when the port is readable."""
        data = os.read(self.descriptor, CHUNK)
        if not data:
            # The lab is gone, and so is the reason to live.
            os.execv("/bin/busybox", ["poweroff", "-f"])
        return list(self._decoder.feed(data))

    def left_over(self) -> list[tuple[Kind, bytes]]:
        """Frames that came along with the ones that `next` gave."""
        taken, self._frames = self._frames, []
        return taken

    def next(self) -> tuple[Kind, bytes]:
        """The next frame, waited for."""
        while not self._frames:
            select.select([self.descriptor], [], [])
            self._frames = self.read_ready()
        return self._frames.pop(0)


class FileStream(io.RawIOBase):
    """The tar archive that arrives in FILES frames, as a file."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._ended:
            kind, self._rest = self._channel.next()
            if kind is not Kind.FILES:
                raise RuntimeError(f"a {kind.name} frame among the files")
            self._ended = not self._rest
        part = self._rest[: len(buffer)]
        self._rest = self._rest[len(part) :]
        buffer[: len(part)] = part
        return len(part)

    def drain(self) -> None:
        """Read on to the end: tar stops at its own end mark."""
        while not self._ended:
            self.read(CHUNK)


class OutStream(io.RawIOBase):
    """A tar archive on its way back in OUT frames."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        for start in range(0, len(data), CHUNK):
            self._channel.send(Kind.OUT, bytes(data[start : start + CHUNK]))
        return len(data)


def open_port() -> Channel:
    """The lab's port, once the kernel has it."""
    for _ in range(3000):
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == PORT:
                device = Path("/dev") / name.parent.name
                with contextlib.suppress(OSError):
                    return Channel(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        time.sleep(0.01)
    raise RuntimeError("no virtio-serial port of the lab appeared")
