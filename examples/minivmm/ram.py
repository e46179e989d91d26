# SPDX-License-Identifier: Apache-2.0
"""The guest's memory as devices see it: guest physical addresses, every access checked.

The guest may change any byte at any moment. So a number is read once, checked, and that copy used.
"""

from __future__ import annotations

from minivmm.endings import GuestFault
from pykvm import GuestMemory


class Ram:
    """The whole of ``memory``, which the guest finds from the physical address ``start`` on."""

    def __init__(self, start: int, memory: GuestMemory) -> None:
        self.start = start
        self.size = memory.size
        self.hva = memory.hva
        self.memory = memory
        #: All of it, for whoever has checked the address.
        self.view = memory.view()

    @property
    def end(self) -> int:
        return self.start + self.size

    def slice(self, gpa: int, size: int) -> memoryview:
        """The memory itself, without a copy. GuestFault where it is not all memory."""
        offset = gpa - self.start
        if offset < 0 or offset + size > self.size:
            raise GuestFault(f"{size:#x} bytes at {gpa:#x} are not in memory")
        return self.view[offset : offset + size]

    def write(self, gpa: int, data: bytes | bytearray | memoryview) -> None:
        self.slice(gpa, len(data))[:] = data

    def load_acquire(self, gpa: int) -> int:
        """A 16-bit index that the guest moves on: what it has written before can be read after."""
        return self.memory.load_acquire(gpa - self.start, 2)

    def store_release(self, gpa: int, value: int) -> None:
        """Moves an index on: what was written before can be seen by the guest that sees it."""
        self.memory.store_release(gpa - self.start, 2, value)

    def close(self) -> None:
        self.view.release()
