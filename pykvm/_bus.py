# SPDX-License-Identifier: Apache-2.0
"""A VM's ranges of guest addresses, as the run loops of its vCPUs see them."""

from __future__ import annotations

import errno
import mmap
import struct
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pykvm._native import ffi, lib
from pykvm.errors import failure, kvm_error
from pykvm.exits import MmioWrite

if TYPE_CHECKING:
    from pykvm.eventfd import EventFd

__all__ = ["Bus", "Handler", "RingQueue", "Store"]

#: What a handler of stores is called with, and a ring keeps: offset in the range, size, value.
Store = tuple[int, int, int]
Handler = Callable[[int, int, int], object]


class Bus:
    """The table in C, and what of Python's belongs to it. It knows no VM: there are no cycles."""

    __slots__ = ("_memory", "coalesced", "loads", "queues", "stores", "table")

    def __init__(self) -> None:
        table = ffi.new("struct pykvm_bus *")
        lib.bus_open(table)
        self.table = ffi.gc(table, lib.bus_close)
        #: The collector may have it closed before ranges are: they find it empty, not gone.
        self._memory = table
        #: Handlers: see cdefs/ranges.h. A place is used once, and is None when its range is gone.
        self.loads: list[Callable[[int, int], int] | None] = []
        self.stores: list[Handler | None] = []
        #: Of the rings that have a handler.
        self.queues: list[RingQueue] = []
        self.coalesced = CoalescedQueue(partial(lib.bus_handed_on, table))

    def put(self, slots: int, form: int, handler: Callable[..., Any] | None) -> None:
        """A handler for an access: ``form`` is log2 of the width, and 4 more for a store."""
        handlers: list[Any] = self.stores if form & 4 else self.loads
        place = 4 * slots + (form & 3)
        while len(handlers) <= place:  # another thread may do so, too: more is harmless
            handlers.append(None)
        handlers[place] = handler

    def drain(self, coalesced: Callable[[], bool]) -> None:
        """Gives every store that waits to its handler.

        ``coalesced`` does so for the kernel's, and says whether for all: some may have to wait for
        what is in a ring of ours.
        """
        while not coalesced():
            self.deliver()
        self.deliver()

    def deliver(self) -> None:
        """Gives what waits in rings to their handlers."""
        for queue in self.queues.copy():
            queue.deliver()


class Intake:
    """Entries on their way from C into a queue. A handler of a signal that raises loses none.

    Python looks for signals only behind calls and at jumps; what must not be torn apart has none.
    """

    __slots__ = ("_bytes", "_layout", "_turns", "n", "room", "taken")

    def __init__(self, kind: str, room: int, layout: struct.Struct) -> None:
        self.room = room
        #: What C fills, and with how many.
        self.taken = ffi.new(f"struct {kind}[]", room)
        self.n = ffi.new("uint32_t *")
        self._bytes = ffi.buffer(self.taken)
        self._layout = layout
        self._turns = 0

    def move(self, queue: deque[Any]) -> None:
        """To the end of ``queue``, whatever C has left here."""
        turns = self._turns
        entries = self._layout.iter_unpack(self._bytes[: self.n[0] * self._layout.size])
        if turns == self._turns:  # else a signal's handler has been here meanwhile
            queue += entries
            self.n[0] = 0
            self._turns = turns + 1


class CoalescedQueue:
    """The stores of KVM's ring on their way, as :class:`RingQueue`.

    What has an MMIO range goes there, the rest waits for :meth:`Vcpu.drain_coalesced_mmio`.
    """

    __slots__ = ("_handed_on", "_intake", "_left", "_turn", "_waiting")

    def __init__(self, handed_on: Callable[[], object]) -> None:
        self._handed_on = handed_on
        # More than a ring of one page holds.
        room = mmap.PAGESIZE // ffi.sizeof("struct kvm_coalesced_mmio")
        self._intake = Intake("pykvm_store", room, _COALESCED_STORE)
        #: Each with its handler's place, where in memory and where in its range it is.
        self._left: deque[tuple[int, int, int, int, int]] = deque()
        self._waiting: list[tuple[int, int, int, int, int]] = []
        self._turn = threading.RLock()

    def deliver(self, handlers: list[Handler | None], fetch: Callable[[Intake], bool]) -> bool:
        """Takes what ``fetch`` finds in the ring, and gives it to handlers; returns its answer."""
        left = self._left
        with self._turn:
            if self._intake.n[0]:  # a signal's handler ended the last attempt
                self._intake.move(left)
            is_all = fetch(self._intake)
            self._intake.move(left)
            while True:
                if not left:  # asked here: where a loop jumps back, a signal's handler may empty it
                    break
                slot, _, offset, size, value = store = left[0]
                handler = handlers[slot] if slot >= 0 else None
                del left[0]  # from here to the handler there is no call, as in Intake
                if handler is None:
                    self._waiting += (store,)
                else:
                    handler(offset, size, value)
            self._handed_on()
        return is_all

    def take(self) -> list[MmioWrite]:
        """What has no range."""
        taken: list[tuple[int, int, int, int, int]] = []
        try:
            with self._turn:
                taken, self._waiting = self._waiting, taken
            return [
                MmioWrite(gpa, value.to_bytes(size, "little")) for _, gpa, _, size, value in taken
            ]
        except BaseException:  # of a signal's handler: nobody has got them
            with self._turn:
                self._waiting = taken + self._waiting
            raise


class RingQueue:
    """The stores of one ring on their way from C to whoever takes them.

    What was taken out is handed on before any later exit is delivered, in whatever thread: so the
    order is kept. What a handler could not be given because it raised stays for the next.
    """

    __slots__ = ("_forks", "_intake", "_left", "_turn", "handler", "room", "state")

    def __init__(self, room: int, handler: Handler | None, eventfd: EventFd | None) -> None:
        self.room = room
        self.handler = handler
        state = lib.state_new(room * (_STORE.size // 8))
        if not state:
            raise MemoryError(f"no memory for a ring of {room} stores")
        self.state = ffi.gc(state, lib.state_drop)
        if eventfd is not None:
            result = lib.ring_announce(state, eventfd.fileno())
            if result < 0:
                raise kvm_error(-result, "fcntl F_DUPFD_CLOEXEC", fd=eventfd.fileno())
        self._intake = Intake("pykvm_access", room, _STORE)
        self._left: deque[Store] = deque()
        self._turn = threading.RLock()
        self._forks = lib.forks_seen()

    def _fetch(self) -> None:
        """What waits now; what other vCPUs store from now on need not come before anything."""
        intake = self._intake
        if intake.n[0]:  # a signal's handler ended the last attempt
            intake.move(self._left)
        lib.ring_take(self.state, intake.taken, self.room, intake.n)
        intake.move(self._left)

    def _check_fork(self) -> None:
        if self._forks != lib.forks_seen():  # the parent's, and both locks as it left them
            raise failure(-errno.EIO, "take from ring", "MmioRing", 0)

    def deliver(self) -> None:
        """Gives the handler what waits."""
        self._check_fork()
        handler = self.handler
        assert handler is not None
        left = self._left
        with self._turn:
            self._fetch()
            while True:
                if not left:  # as in CoalescedQueue
                    break
                store = left[0]
                del left[0]  # from here to the handler there is no call, as in Intake
                handler(*store)
            lib.ring_handed_on(self.state)

    def take(self) -> list[Store]:
        """What waits, for whoever asks."""
        self._check_fork()
        taken: list[Store] = []
        try:
            with self._turn:
                self._fetch()
                taken += self._left
                self._left *= 0
            return taken
        except BaseException:  # of a signal's handler: nobody has got them
            with self._turn:
                self._left.extendleft(reversed(taken))
            raise


_STORE = struct.Struct("=QQQ")
_COALESCED_STORE = struct.Struct("=qQQQQ")
