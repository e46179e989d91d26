# SPDX-License-Identifier: Apache-2.0
"""What the core of an arm64 process that died tells: `python3 -m tests.plugin.core FILE`.

An interpreter that dies tells where by itself, but not where the thread takes no signals, or has no
stack left to tell it on. So of each thread: its registers, what it blocked, and its callers.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

_LOAD, _NOTE = 1, 4
_PRSTATUS, _SIGINFO, _FILES = 1, 0x53494749, 0x46494C45
_CALLERS = 16
_WORD = 2**64


class Core:
    """A core file (elf(5)): segments of memory, threads, and which files were mapped where."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._segments: list[tuple[int, int, int, int]] = []  # from, to, in the file, bytes there
        self._files: list[tuple[int, int, str]] = []
        self.threads: list[bytes] = []
        self.signal = b""
        (headers,) = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        for place in range(headers, headers + count * size, size):
            kind, _, offset, start, _, held, whole, _ = struct.unpack_from("<IIQQQQQQ", data, place)
            if kind == _LOAD:
                self._segments.append((start, start + whole, offset, held))
            elif kind == _NOTE:
                self._take_notes(data[offset : offset + held])

    def _take_notes(self, notes: bytes) -> None:
        place = 0
        while place < len(notes):
            name, size, kind = struct.unpack_from("<III", notes, place)
            place += 12 + (name + 3 & ~3)
            content = notes[place : place + size]
            place += size + 3 & ~3
            if kind == _PRSTATUS:
                self.threads.append(content)
            elif kind == _SIGINFO:
                self.signal = content
            elif kind == _FILES:
                count, _ = struct.unpack_from("<QQ", content)
                names = content[16 + 24 * count :].split(b"\0")
                for n in range(count):
                    start, end, _ = struct.unpack_from("<QQQ", content, 16 + 24 * n)
                    self._files.append((start, end, names[n].decode("utf-8", "replace")))

    def where(self, address: int) -> str:
        """Whose address it is."""
        for start, end, name in self._files:
            if start <= address < end:
                first = min(at for at, _, each in self._files if each == name)
                return f"{address:#x} {name.rpartition('/')[2]}+{address - first:#x}"
        inside = any(start <= address < end for start, end, _, _ in self._segments)
        return f"{address:#x} {'anonymous' if inside else 'UNMAPPED'}"

    def word(self, address: int) -> int | None:
        """Eight bytes of the process's memory."""
        for start, _, offset, held in self._segments:
            if start <= address <= start + held - 8:
                return int(struct.unpack_from("<Q", self._data, offset + address - start)[0])
        return None

    def callers(self, frame: int) -> Iterator[int]:
        for _ in range(_CALLERS):
            caller, above = self.word((frame + 8) % _WORD), self.word(frame)
            if not caller or not above:
                return
            yield caller
            frame = above


def tell(core: Core) -> Iterator[str]:
    """Lines for people."""
    if core.signal:
        number, error, code = struct.unpack_from("<iii", core.signal)
        (address,) = struct.unpack_from("<Q", core.signal, 16)
        yield f"signal {number}, code {code}, errno {error}, about {core.where(address)}"
    for status in core.threads:
        (blocked,) = struct.unpack_from("<Q", status, 24)
        (thread,) = struct.unpack_from("<I", status, 32)
        registers = struct.unpack_from("<34Q", status, 112)
        frame, link, stack, pc = registers[29:33]
        yield f"thread {thread}, blocked {blocked:#x}: pc {core.where(pc)}, sp {core.where(stack)}"
        yield "  x0-x28 " + " ".join(f"{each:x}" for each in registers[:29])
        for caller in (link, *core.callers(frame)):
            yield f"  from {core.where(caller)}"


if __name__ == "__main__":
    print(*tell(Core(Path(sys.argv[1]).read_bytes())), sep="\n")
