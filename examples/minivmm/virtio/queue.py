# SPDX-License-Identifier: Apache-2.0
"""The split virtqueue: descriptors the guest offers, and which of them are used up.

Nothing here is believed: rings are checked to be memory once, and every number is read once, then
checked. What cannot be is a GuestFault.
Source: Virtual I/O Device (VIRTIO) 1.2, section 2.7.
"""

from __future__ import annotations

import struct

from minivmm.endings import GuestFault
from minivmm.ram import Ram
from pykvm import memory_fence

_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_NO_INTERRUPT, _NO_NOTIFY = 1, 1
_DESCRIPTOR = struct.Struct("<QIHH")
_USED = struct.Struct("<II")
#: Of a descriptor: address, size in bytes, flags, and which one follows.
_Entry = tuple[int, int, int, int]
_U16 = struct.Struct("<H")
#: A chain has no more descriptors than its queue, which has no more than this.
_MOST_ENTRIES = 1 << 15


class _Table:
    """Descriptors in the guest's memory, each as it is when it is asked for."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    def __getitem__(self, index: int) -> _Entry:
        return _DESCRIPTOR.unpack_from(self._memory, 16 * index)


class Chain:
    """One request: memory that the device reads, then memory that it fills."""

    __slots__ = ("head", "readable", "writable")

    def __init__(self, head: int) -> None:
        self.head = head
        self.readable: list[memoryview] = []
        self.writable: list[memoryview] = []

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes of what is readable, wherever the guest has cut it."""
        found = b""
        while len(found) < size:
            if not self.readable:
                raise GuestFault(f"a request that ends {size - len(found)} bytes too early")
            first = self.readable[0]
            part = first[: size - len(found)]
            found += part
            if len(part) == len(first):
                del self.readable[0]
            else:
                self.readable[0] = first[len(part) :]
        return found

    def fill(self, data: bytes | memoryview) -> int:
        """Puts data where the guest has room for it; returns how much of it that was."""
        done = 0
        for view in self.writable:
            part = data[done : done + len(view)]
            view[: len(part)] = part
            done += len(part)
            if done == len(data):
                break
        return done


class Queue:
    """A queue in use. ``largest``: bytes of a chain beyond which no honest request goes.

    Synchronization: one thread at a time.
    """

    def __init__(
        self, ram: Ram, size: int, table: int, avail: int, used: int, *,
        indirect: bool, event_index: bool, largest: int,
    ) -> None:  # fmt: skip
        if size == 0 or size & (size - 1):
            raise GuestFault(f"a queue of {size}: that is no power of two")
        if table % 16 or avail % 2 or used % 4:
            raise GuestFault(f"a queue at {table:#x}, {avail:#x}, {used:#x}: not aligned")
        self.size = size
        self._ram = ram
        self._indirect, self._event_index, self._largest = indirect, event_index, largest
        self._table = _Table(ram.slice(table, 16 * size))
        ring = ram.slice(avail, 6 + 2 * size)
        self._avail_flags, self._avail_index = ring[0:2], avail + 2
        self._avail_ring, self._used_event = ring[4:-2], ring[-2:]
        ring = ram.slice(used, 6 + 8 * size)
        self._used_flags, self._used_index = ring[0:2], used + 2
        self._used_ring, self._avail_event = ring[4:-2], ring[-2:]
        self._taken = 0  # both count all there ever were, modulo 2**16, as the ring's indices do
        self._given = 0
        self._told = 0  # how many of those given back the guest was last asked about

    # Taking requests ---------------------------------------------------------------------------

    def pop(self) -> Chain | None:
        """The next request, or None."""
        chain = self.peek()
        if chain is not None:
            self.accept()
        return chain

    def accept(self) -> None:
        """What was peeked at is taken."""
        self._taken = (self._taken + 1) & 0xFFFF

    def peek(self) -> Chain | None:
        """The next request, which stays where it is; or None."""
        offered = self._ram.load_acquire(self._avail_index)
        waiting = (offered - self._taken) & 0xFFFF
        if not waiting:
            return None
        if waiting > self.size:
            raise GuestFault(f"{waiting} requests in a queue of {self.size}")
        (head,) = _U16.unpack_from(self._avail_ring, 2 * (self._taken % self.size))
        return self._chain(head)

    def _chain(self, head: int) -> Chain:
        chain = Chain(head)
        readable, writable = chain.readable, chain.writable
        entries: _Table | list[_Entry] = self._table
        index, limit = head, self.size
        left, bytes_left, nested = self.size, self._largest, False
        view, start, memory = self._ram.view, self._ram.start, self._ram.size
        while True:
            if index >= limit:
                raise GuestFault(f"descriptor {index} of {limit}")
            if not left:
                raise GuestFault("a chain of descriptors that goes in a circle")
            left -= 1
            gpa, size, flags, following = entries[index]
            if flags & _INDIRECT:
                if nested:
                    raise GuestFault("an indirect descriptor in an indirect table")
                entries = self._indirect_table(gpa, size, flags)
                index, limit = 0, len(entries)
                left, nested = self.size, True  # the descriptor that led here is none of the chain
                continue
            bytes_left -= size
            if bytes_left < 0:
                raise GuestFault(f"a request of more than {self._largest} bytes")
            offset = gpa - start  # as Ram.slice(), without a call for each of some hundred
            if offset < 0 or offset + size > memory:
                raise GuestFault(f"{size:#x} bytes at {gpa:#x} are not in memory")
            if flags & _WRITE:
                writable.append(view[offset : offset + size])
            elif writable:
                raise GuestFault("memory to read behind memory to write")
            else:
                readable.append(view[offset : offset + size])
            if not flags & _NEXT:
                return chain
            index = following

    def _indirect_table(self, gpa: int, size: int, flags: int) -> list[_Entry]:
        """As it is now. What lies beyond the longest chain that can be is not looked at."""
        if not self._indirect or flags & _NEXT or size % 16 or not size:
            raise GuestFault(f"an indirect descriptor that cannot be: {size} {flags:#x}")
        table = self._ram.slice(gpa, size)
        return list(_DESCRIPTOR.iter_unpack(table[: 16 * _MOST_ENTRIES]))

    # Giving them back --------------------------------------------------------------------------

    def push(self, chain: Chain, written: int) -> None:
        """The request is done; its first ``written`` bytes of room are filled."""
        _USED.pack_into(self._used_ring, 8 * (self._given % self.size), chain.head, written)
        self._given = (self._given + 1) & 0xFFFF
        self._ram.store_release(self._used_index, self._given)

    @property
    def given_since_told(self) -> int:
        """How many were given back since wants_interrupt() was asked last."""
        return (self._given - self._told) & 0xFFFF

    def wants_interrupt(self) -> bool:
        """Whether the guest wants to hear of what was given back since this was last asked."""
        since, self._told = self._told, self._given
        if since == self._given:
            return False
        memory_fence()  # the guest moves its wish, then looks at the index; we the other way round
        if not self._event_index:
            return not _U16.unpack_from(self._avail_flags)[0] & _NO_INTERRUPT
        event: int = _U16.unpack_from(self._used_event)[0]
        return (self._given - event - 1) & 0xFFFF < (self._given - since) & 0xFFFF

    # Being told --------------------------------------------------------------------------------

    def want_no_notice(self) -> None:
        """The device is at work and will look by itself."""
        if not self._event_index:
            _U16.pack_into(self._used_flags, 0, _NO_NOTIFY)

    def want_notice(self) -> bool:
        """The device is about to rest; True if something has come meanwhile after all."""
        if self._event_index:
            _U16.pack_into(self._avail_event, 0, self._taken)
        else:
            _U16.pack_into(self._used_flags, 0, 0)
        memory_fence()
        return self._ram.load_acquire(self._avail_index) != self._taken
