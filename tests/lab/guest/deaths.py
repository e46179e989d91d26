# SPDX-License-Identifier: Apache-2.0
"""What a process that died of a fault tells: the kernel runs this for each one (see `init`).

Faulthandler tells where an interpreter died, but not where the thread blocks that signal, or has no
stack left to tell it on. So here is for each thread, the one that died first: its registers, what
it blocked, and its callers. The kernel writes a core to stdin, whose notes come first; as long as
the rest is not read, the process is there to be looked into.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

#: Where the agent finds it, and sends it to where the command's stderr goes.
REPORT = Path("/run/deaths")
_LOG_LINES = 30
_CALLERS = 24
_NOTE = 4
_PRSTATUS, _SIGINFO, _TLS = 1, 0x53494749, 0x401
_ADDRESS = (1 << 48) - 1  # of a caller; above it may be its signature


class Thread(NamedTuple):
    """A thread of an arm64 process, as its core tells."""

    tid: int
    blocked: int
    registers: tuple[int, ...]  # x0 to x30, sp, pc, pstate
    tls: int

    @property
    def frame(self) -> int:
        return self.registers[29]


def notes(core: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The kinds and contents of a core's notes (elf(5)), of which nothing more is read."""
    head = core.read(64)
    (at,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    table = core.read(at - len(head) + size * count)[at - len(head) :]
    for kind, _, offset, _, _, length, _, _ in struct.iter_unpack("<IIQQQQQQ", table):
        if kind != _NOTE:
            continue
        core.read(offset - at - len(table))
        data = core.read(length)
        place = 0
        while place < length:
            name, size, kind = struct.unpack_from("<III", data, place)
            place += 12 + (name + 3 & ~3)
            yield kind, data[place : place + size]
            place += size + 3 & ~3
        return


class Process:
    """The memory of a process, while it is there."""

    def __init__(self, pid: int) -> None:
        self.name = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        self._memory = Path(f"/proc/{pid}/mem")
        self._maps: list[tuple[int, int, str, str]] = []
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            places, access, _, _, _, *name = line.split(maxsplit=5)
            first, end = (int(each, 16) for each in places.split("-"))
            self._maps.append((first, end, access, "".join(name)))

    def where(self, address: int) -> str:
        """Whose address it is: the offset is from a file's first mapping."""
        for first, end, access, name in self._maps:
            if first <= address < end:
                if name:
                    first = min(at for at, _, _, each in self._maps if each == name)
                named = name.rpartition("/")[2] or f"anonymous {first:x}"
                return f"{address:#x} ({access} {named}+{address - first:#x})"
        return f"{address:#x} (nothing there)"

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """Of eight bytes each; none where there is no memory."""
        with contextlib.suppress(OSError, OverflowError), open(self._memory, "rb", 0) as memory:
            memory.seek(address)
            data = memory.read(8 * count)
            return struct.unpack(f"<{len(data) // 8}Q", data[: len(data) & ~7])
        return ()

    def callers(self, frame: int) -> Iterator[int]:
        for _ in range(_CALLERS):
            words = self.words(frame, 2)
            if len(words) < 2 or not words[1]:
                return
            yield words[1] & _ADDRESS
            frame = words[0]


def tell(core: BinaryIO, pid: int) -> Iterator[str]:
    """Lines for people."""
    process = Process(pid)
    threads: list[Thread] = []
    for kind, data in notes(core):
        if kind == _PRSTATUS:
            (blocked,) = struct.unpack_from("<Q", data, 24)
            (tid,) = struct.unpack_from("<I", data, 32)
            threads.append(Thread(tid, blocked, struct.unpack_from("<34Q", data, 112), 0))
        elif kind == _TLS and threads:
            threads[-1] = threads[-1]._replace(tls=struct.unpack_from("<Q", data)[0])
        elif kind == _SIGINFO:
            number, error, code = struct.unpack_from("<iii", data)
            about = process.where(struct.unpack_from("<Q", data, 16)[0])
            yield f"process {pid} died of signal {number}, code {code}, errno {error}: {about}"
            yield f"  it was {process.name}"
    for thread in threads:
        stack, pc, pstate = thread.registers[31:]
        yield f"thread {thread.tid}, signals blocked {thread.blocked:#x}, pstate {pstate:#x}"
        yield f"  pc {process.where(pc)}"
        yield f"  sp {process.where(stack)}, TLS {process.where(thread.tls)}"
        for first in range(0, 31, 8):
            values = " ".join(f"{each:x}" for each in thread.registers[first : min(first + 8, 31)])
            yield f"  x{first}: {values}"
        for caller in (thread.registers[30] & _ADDRESS, *process.callers(thread.frame)):
            yield f"  from {process.where(caller)}"


def main() -> None:
    """Called with the process's number."""
    with open(REPORT, "a", encoding="utf-8") as report:
        for line in tell(sys.stdin.buffer, int(sys.argv[1])):
            print(line, file=report, flush=True)
        log = subprocess.run(["dmesg"], capture_output=True, text=True, errors="replace").stdout
        print("the kernel's log ends so:", *log.splitlines()[-_LOG_LINES:], sep="\n", file=report)


if __name__ == "__main__":
    main()
