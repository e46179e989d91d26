# SPDX-License-Identifier: Apache-2.0
"""The guest's memory as devices see it: guest physical addresses, every access checked.

The guest may change any byte at any moment. So a number is read once, checked, and that copy used.
"""

from __future__ import annotations

import struct
import threading

from minivmm.endings import GuestFault


class Ram:
    """Memory from the guest physical address ``start`` on; ``view`` holds its bytes."""

    def __init__(self, start: int, view: memoryview) -> None:
        self.start = start
        self.size = len(view)
        self._view = view

    @property
    def end(self) -> int:
        return self.start + self.size

    def slice(self, gpa: int, size: int) -> memoryview:
        """The memory itself, without a copy. GuestFault where it is not all memory."""
        offset = gpa - self.start
        if offset < 0 or offset + size > self.size:
            raise GuestFault(f"{size:#x} bytes at {gpa:#x} are not in memory")
        return self._view[offset : offset + size]

    def write(self, gpa: int, data: bytes | bytearray | memoryview) -> None:
        self.slice(gpa, len(data))[:] = data

    def close(self) -> None:
        self._view.release()


_U16 = struct.Struct("<H")
_lock = threading.Lock()


def fence() -> None:
    """What was read and written before is so for the guest's CPUs before what comes after.

    Python has no barriers. Its locks have: giving one back releases, taking it acquires, and the
    one does not overtake the other.
    """
    with _lock:
        pass
    with _lock:
        pass


def load_acquire(word: memoryview) -> int:
    """A 16-bit index that the guest moves on: what it has written before can be read after."""
    value: int = _U16.unpack_from(word)[0]
    fence()
    return value


def store_release(word: memoryview, value: int) -> None:
    """Moves an index on: what was written before can be seen by the guest that sees it."""
    fence()
    _U16.pack_into(word, 0, value)
