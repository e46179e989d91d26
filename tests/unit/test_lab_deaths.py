# SPDX-License-Identifier: Apache-2.0
"""What an emulated host says of a process that died of a fault there."""

from __future__ import annotations

import ctypes
import io
import os
import struct

from tests.lab.guest.deaths import tell

_HEADERS = 64
_NOTES = 0x1000
_PRSTATUS, _SIGINFO, _TLS = 1, 0x53494749, 0x401


def _note(kind: int, content: bytes) -> bytes:
    padded = content + bytes(-len(content) % 4)
    return struct.pack("<III", 5, len(content), kind) + b"CORE\0\0\0\0" + padded


def _status(tid: int, blocked: int, registers: dict[int, int]) -> bytes:
    content = bytearray(392)
    struct.pack_into("<Q", content, 24, blocked)
    struct.pack_into("<I", content, 32, tid)
    struct.pack_into("<34Q", content, 112, *(registers.get(n, n) for n in range(34)))
    return _note(_PRSTATUS, bytes(content))


class _Pipe(io.BytesIO):
    """As the kernel's: it cannot be sought in, and has the process's memory behind the notes."""

    def seekable(self) -> bool:
        return False


def _core(*notes: bytes) -> _Pipe:
    data = b"".join(notes)
    head = bytearray(_HEADERS)
    struct.pack_into("<Q", head, 32, _HEADERS)
    struct.pack_into("<HH", head, 54, 56, 2)
    segments = [(4, 0, _NOTES, 0, 0, len(data), 0, 4), (1, 6, 0x2000, 0x10000, 0, 64, 64, 4096)]
    table = b"".join(struct.pack("<IIQQQQQQ", *each) for each in segments)
    gap = bytes(_NOTES - _HEADERS - len(table))
    return _Pipe(bytes(head) + table + gap + data + bytes(0x2000))


def test_a_death_is_told_with_every_thread_and_its_callers() -> None:
    code = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    assert code is not None
    frames = (ctypes.c_uint64 * 4)()
    here = ctypes.addressof(frames)
    # The newer frame, whose caller's address is signed as on processors that can do so; the oldest.
    frames[:] = [here + 16, code | 0x55 << 48, 0, code]
    core = _core(
        _status(11, 0x400, {29: here, 30: 0x20, 31: 0x30, 32: 0x40}),
        _note(_SIGINFO, struct.pack("<iiiiQ", 11, 0, 1, 0, 0x50)),
        _note(_TLS, struct.pack("<Q", here)),
        _status(12, 0, {29: 0, 30: code, 31: here, 32: code}),
    )
    lines = list(tell(core, os.getpid()))
    died = f"process {os.getpid()} died of signal 11, code 1, errno 0: 0x50 (nothing there)"
    assert lines[0] == died
    first = lines.index("thread 11, signals blocked 0x400, pstate 0x21")
    second = lines.index("thread 12, signals blocked 0x0, pstate 0x21")
    told, more = lines[first + 1 : second], lines[second + 1 :]
    assert told[0] == "  pc 0x40 (nothing there)"
    assert told[1].startswith(f"  sp 0x30 (nothing there), TLS {here:#x} (rw")
    assert [line.split()[1] for line in told if line.startswith("  from")] == [
        "0x20",
        f"{code:#x}",
        f"{code:#x}",
    ]
    assert "(r-xp libc" in told[-1]
    assert [line.split()[1] for line in more if line.startswith("  from")] == [f"{code:#x}"]
