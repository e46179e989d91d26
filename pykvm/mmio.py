# SPDX-License-Identifier: Apache-2.0
"""Ranges of guest addresses without memory, and what answers there."""

from __future__ import annotations

import contextlib
import errno
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pykvm._bus import RingQueue, Store
from pykvm._descriptor import Closing, check_int
from pykvm._native import ffi, lib
from pykvm.errors import KvmExistsError, kvm_error

if TYPE_CHECKING:
    from pykvm._vmcore import VmCore
    from pykvm.vmmmio import VmMmio

__all__ = ["MmioCounter", "MmioLatch", "MmioRange", "MmioRing", "check_value"]


class MmioRange(Closing):
    """A range of guest addresses whose accesses do not end run(), made by VM.mmio_….

    An access belongs to a range if all its bytes lie in it; what is partly outside, and what its
    range does not serve, ends run() as MmioRead or MmioWrite. Ranges do not overlap. They come and
    go while vCPUs run; an access that was under way when its range is closed may still be served.

    Attributes: ``gpa``; ``size`` (bytes).

    Synchronization: any thread, also while vCPUs run.
    """

    __slots__ = (
        "__weakref__",
        "_core",
        "_handled",
        "_number",
        "_slots",
        "_state",
        "_vm",
        "gpa",
        "size",
    )

    def __init__(
        self,
        vm: VmMmio,
        core: VmCore,
        gpa: int,
        size: int,
        kind: int,
        handlers: Mapping[int, Callable[..., Any]],
        state: Any = None,
    ) -> None:
        self._core: VmCore | None = None
        self._vm = weakref.ref(vm)
        self._state = state
        self.gpa = gpa
        self.size = size
        bus = core.bus
        self._number = self._checked(lib.bus_next_range(bus.table))
        self._slots = self._checked(lib.bus_next_slots(bus.table)) if handlers else 0
        self._handled = sum(1 << form for form in handlers)
        self._core = core
        try:
            for form, handler in handlers.items():  # before the first access can come
                bus.put(self._slots, form, handler)
            memory = ffi.NULL if state is None else state
            self._checked(
                lib.bus_add(
                    bus.table, self._number, gpa, size % 2**64, kind, self._slots, self._handled,
                    memory,
                )
            )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def _checked(self, result: int) -> int:
        if result < 0:
            raise self._refusal(result)
        return result

    def _refusal(self, result: int) -> Exception:
        arguments: dict[str, object] = {"gpa": self.gpa, "size": self.size}
        if result == -errno.EEXIST:
            hint = "It overlaps another MMIO range of this VM: close that first."
            return KvmExistsError(errno.EEXIST, "add MMIO range", arguments, hint)
        return kvm_error(-result, "add MMIO range", **arguments)

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core is None

    def close(self) -> None:
        """Takes the range away: accesses end run() again."""
        core = self._core
        if core is None:
            return
        removed = lib.bus_remove(core.bus.table, self._number)
        # ENOENT: it never came to be, or another thread was quicker. EIO: a forked child.
        if removed < 0 and removed not in (-errno.ENOENT, -errno.EIO):
            raise kvm_error(-removed, "remove MMIO range", gpa=self.gpa, size=self.size)
        for form in range(8):
            if self._handled >> form & 1:
                core.bus.put(self._slots, form, None)
        self._let_go(core)
        vm = self._vm()
        if vm is not None:
            vm._children.forget(self)
        self._core = None

    def _let_go(self, core: VmCore) -> None:
        """Gives up what else the bus has of it."""

    # Where the collector found a cycle, what ffi.gc() holds may have ended before: a state is freed
    # with the bus's tables and with that, so nothing here looks into one.
    # Bound here because at the interpreter's end the module's names may be gone.
    def __del__(self, _suppress: type[contextlib.suppress] = contextlib.suppress) -> None:
        with _suppress(Exception):  # half made, perhaps, and nobody is left to be told
            self.close()

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<{type(self).__name__}{state} gpa {self.gpa:#x} size {self.size:#x}>"


def check_value(value: object, size: int) -> int:
    """A number of ``size`` bytes, or a TypeError or ValueError."""
    return check_int("value", value, 0, 2 ** (8 * size) - 1)


class MmioLatch(MmioRange):
    """A register of 1, 2, 4 or 8 bytes that reads what was stored last, made by VM.mmio_latch().

    One that is read-only for the guest reads what :attr:`value` was set to last. Loads and stores
    of any width see and change the bytes that they are for; those that are aligned do so at once,
    whatever other vCPUs and :attr:`value` do.

    Attributes: ``gpa``; ``size`` (bytes).

    Synchronization: any thread, also while vCPUs run.
    """

    __slots__ = ()

    @property
    def value(self) -> int:
        """What the guest would load, little-endian; also what it was when the range was closed."""
        return int(lib.latch_value(self._state))

    @value.setter
    def value(self, value: int) -> None:
        lib.latch_set(self._state, check_value(value, self.size))


class MmioCounter(MmioRange):
    """A range that reads zero and ignores stores, and counts both, made by VM.mmio_counter().

    Attributes: ``gpa``; ``size`` (bytes).

    Synchronization: any thread, also while vCPUs run.
    """

    __slots__ = ()

    @property
    def loads(self) -> int:
        """Loads so far, of any width."""
        return int(lib.counter_loads(self._state))

    @property
    def stores(self) -> int:
        """Stores so far, of any width."""
        return int(lib.counter_stores(self._state))


class MmioRing(MmioRange):
    """A range whose stores wait in a ring, in order, made by VM.mmio_ring().

    Nothing is dropped: a store that finds the ring full leaves run() as if there were no ring, and
    with a handler goes to that, after those that wait.

    Attributes: ``gpa``; ``size`` (bytes); ``capacity`` (stores).

    Synchronization: any thread, also while vCPUs run; each store comes to one taker.
    """

    __slots__ = ("_queue", "capacity")

    def __init__(
        self,
        vm: VmMmio,
        core: VmCore,
        gpa: int,
        size: int,
        loads: Mapping[int, Callable[..., Any]],
        queue: RingQueue,
    ) -> None:
        self._queue = queue
        self.capacity = queue.room
        handlers = dict(loads)
        if queue.handler is not None:
            handlers |= dict.fromkeys(range(4, 8), queue.handler)
        try:
            if queue.handler is not None:
                core.bus.queues.append(queue)
            super().__init__(vm, core, gpa, size, lib.PYKVM_RANGE_RING, handlers, queue.state)
        except BaseException:
            self._let_go(core)
            raise

    def take(self) -> list[Store]:
        """Takes what waits, oldest first: (offset in the range, size in bytes, value) of each.

        Also after close(), which gives its handler nothing more. Errors: EIO in a forked child.
        """
        return self._queue.take()

    def deliver(self) -> None:
        """Gives its handler what waits, in this thread: for whoever was woken by the eventfd.

        Returns once all that waited before the call was handed on, by this thread or by another
        one's run(). Raises what the handler raises; the store that it was given is not given again,
        the others wait. After close() there is nothing to give.
        Errors: ValueError the ring has no handler; EIO in a forked child.
        """
        if self._queue.handler is None:
            raise ValueError(f"{self!r} has no handler: take() gives what waits")
        if not self.closed:
            self._queue.deliver()

    def _let_go(self, core: VmCore) -> None:
        with contextlib.suppress(ValueError):  # it never came to be, or is gone already
            core.bus.queues.remove(self._queue)
