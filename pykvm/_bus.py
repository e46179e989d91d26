# SPDX-License-Identifier: Apache-2.0
"""A VM's ranges of guest addresses, as the run loops of its vCPUs see them."""

from __future__ import annotations

import errno
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pykvm._native import ffi, lib
from pykvm.errors import failure
from pykvm.exits import MmioWrite

__all__ = ["Bus", "Handler", "RingQueue", "Store"]

#: What a handler of stores is called with, and a ring keeps: offset in the range, size, value.
Store = tuple[int, int, int]
Handler = Callable[[int, int, int], object]


class Bus:
    """The table in C, and what of Python's belongs to it. It knows no VM: there are no cycles."""

    __slots__ = ("coalesced", "loads", "queues", "stores", "table")

    def __init__(self) -> None:
        table = ffi.new("struct pykvm_bus *")
        lib.bus_open(table)
        self.table = ffi.gc(table, lib.bus_close)
        #: Handlers: see cdefs/ranges.h. A place is used once, and is None when its range is gone.
        self.loads: list[Callable[[int, int], int] | None] = []
        self.stores: list[Handler | None] = []
        #: Of the rings that have a handler.
        self.queues: list[RingQueue] = []
        self.coalesced = CoalescedQueue()

    def put(self, slots: int, form: int, handler: Callable[..., Any] | None) -> None:
        """A handler for an access: ``form`` is log2 of the width, and 4 more for a store."""
        handlers: list[Any] = self.stores if form & 4 else self.loads
        place = 4 * slots + (form & 3)
        while len(handlers) <= place:  # another thread may do so, too: more is harmless
            handlers.append(None)
        handlers[place] = handler

    def drain(self, coalesced: Callable[[], object]) -> None:
        """Gives every store that waits to its handler; ``coalesced`` does so for the kernel's."""
        coalesced()
        for queue in self.queues.copy():
            queue.deliver()


class CoalescedQueue:
    """The stores of KVM's ring on their way, as :class:`RingQueue`.

    What has an MMIO range goes there, the rest waits for :meth:`Vcpu.drain_coalesced_mmio`.
    """

    __slots__ = ("_left", "_turn", "_waiting")

    def __init__(self) -> None:
        #: Each with its handler's place, where in memory and where in its range it is.
        self._left: deque[tuple[int, int, int, int, int]] = deque()
        self._waiting: list[MmioWrite] = []
        self._turn = threading.RLock()

    def deliver(
        self, handlers: list[Handler | None], fetch: Callable[[], Iterable[tuple[int, ...]]]
    ) -> None:
        """Takes what ``fetch`` finds in the ring, and gives it to handlers."""
        left = self._left
        with self._turn:
            left.extend(fetch())  # type: ignore[arg-type]
            while left:
                slot, gpa, offset, size, value = left.popleft()
                handler = handlers[slot] if slot >= 0 else None
                if handler is None:
                    self._waiting.append(MmioWrite(gpa, value.to_bytes(size, "little")))
                else:
                    handler(offset, size, value)

    def take(self) -> list[MmioWrite]:
        """What has no range."""
        with self._turn:
            taken, self._waiting = self._waiting, []
            return taken


class RingQueue:
    """The stores of one ring on their way from C to whoever takes them.

    What one thread has taken out, it has also handed on, before another one's exit is delivered:
    so the order is kept. What a handler could not be given because it raised stays for the next.
    """

    __slots__ = ("_bytes", "_forks", "_left", "_taken", "_turn", "handler", "room", "state")

    def __init__(self, room: int, handler: Handler | None) -> None:
        self.room = room
        self.handler = handler
        state = lib.state_new(room * (_STORE.size // 8))
        if not state:
            raise MemoryError(f"no memory for a ring of {room} stores")
        self.state = ffi.gc(state, lib.state_drop)
        self._taken = ffi.new("struct pykvm_access[]", room)
        self._bytes = ffi.buffer(self._taken)
        self._left: deque[Store] = deque()
        self._turn = threading.RLock()
        self._forks = lib.forks_seen()

    def _fetch(self) -> None:
        while n := lib.ring_take(self.state, self._taken, self.room):
            self._left.extend(_STORE.iter_unpack(self._bytes[: n * _STORE.size]))

    def deliver(self) -> None:
        """Gives the handler what waits."""
        assert self.handler is not None
        with self._turn:
            self._fetch()
            while self._left:
                self.handler(*self._left.popleft())

    def take(self) -> list[Store]:
        """What waits, for whoever asks."""
        if self._forks != lib.forks_seen():  # the parent's, and both locks as it left them
            raise failure(-errno.EIO, "take from ring", "MmioRing", 0)
        with self._turn:
            self._fetch()
            taken = list(self._left)
            self._left.clear()
            return taken


_STORE = struct.Struct("=QQQ")
