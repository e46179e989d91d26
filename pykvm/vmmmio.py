# SPDX-License-Identifier: Apache-2.0
"""Devices without memory: that part of :class:`pykvm.VM`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from pykvm._bus import RingQueue
from pykvm._descriptor import HasFileno, check_int, octets
from pykvm._native import ffi, lib
from pykvm._vmcore import Children, VmCore
from pykvm.eventfd import EventFd
from pykvm.mmio import MmioCounter, MmioLatch, MmioRange, MmioRing, check_value

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

__all__ = ["VmMmio"]

Read = Callable[[int, int], int]
Write = Callable[[int, int, int], object]

_Kind = TypeVar("_Kind", bound=MmioRange)

_WIDTHS = (1, 2, 4, 8)


class VmMmio:
    """The part of a VM that answers the guest where there is no memory."""

    __slots__ = ()

    _children: Children
    _core: VmCore
    fileno: Callable[[], int]

    def mmio_handler(
        self,
        gpa: int,
        size: int,
        *,
        read: Read | Mapping[int, Read] | None = None,
        write: Write | Mapping[int, Write] | None = None,
    ) -> MmioRange:
        """Loads and stores in a range call Python, in the thread that is in run().

        Args: ``gpa``, ``size`` (bytes): the range. ``read(offset, size)`` returns what the guest
        loads, a number that fits ``size`` bytes; ``write(offset, size, value)`` takes what it
        stores. Each may be a mapping from a width (1, 2, 4, 8) to the function for it. What has no
        function ends run().
        Returns: a :class:`MmioRange`; it stays while the VM is open, also if nobody keeps it.
        Errors: EEXIST the range overlaps another.
        Synchronization: any thread, also while vCPUs run. Handlers of two vCPUs may run at once.
        """
        calls: dict[int, Callable[..., Any]] = {}
        calls.update(_forms("read", read, 0))
        calls.update(_forms("write", write, 4))
        if not calls:
            raise ValueError("neither read nor write: a range that nobody serves")
        return self._add(MmioRange, gpa, size, lib.PYKVM_RANGE_HANDLER, calls)

    def mmio_constant(self, gpa: int, size: int, value: int | Buffer) -> MmioRange:
        """Loads in a range read fixed bytes; stores are ignored. Served in C.

        Args: ``gpa``, ``size`` (bytes, at most 64 KiB): the range. ``value``: its bytes, or a
        number, stored little-endian; a load of any width reads those that it is for.
        Returns: a :class:`MmioRange`; it stays while the VM is open, also if nobody keeps it.
        Errors: EEXIST the range overlaps another.
        Synchronization: any thread, also while vCPUs run.
        """
        size = check_int("size", size, 1, 1 << 16)
        if hasattr(type(value), "__index__"):
            content = check_value(value, size).to_bytes(size, "little")
        else:
            with octets("value", value) as data:
                if len(data) != size:
                    raise ValueError(f"the range has {size} bytes, value has {len(data)}")
                content = bytes(data)
        state = _state(-(-size // 8))
        lib.state_fill(state, ffi.from_buffer(content), size)
        return self._add(MmioRange, gpa, size, lib.PYKVM_RANGE_CONSTANT, {}, state)

    def mmio_ignore(self, gpa: int, size: int) -> MmioRange:
        """Loads in a range read zero, stores are ignored. Served in C.

        Args: ``gpa``, ``size`` (bytes): the range.
        Returns: a :class:`MmioRange`; it stays while the VM is open, also if nobody keeps it.
        Errors: EEXIST the range overlaps another.
        Synchronization: any thread, also while vCPUs run.
        """
        return self._add(MmioRange, gpa, size, lib.PYKVM_RANGE_IGNORE, {})

    def mmio_counter(self, gpa: int, size: int) -> MmioCounter:
        """As :meth:`mmio_ignore`, and counts the accesses. Served in C.

        Args: ``gpa``, ``size`` (bytes): the range.
        Returns: a :class:`MmioCounter`; it stays while the VM is open, also if nobody keeps it.
        Errors: EEXIST the range overlaps another.
        Synchronization: any thread, also while vCPUs run.
        """
        return self._add(MmioCounter, gpa, size, lib.PYKVM_RANGE_COUNTER, {}, _state(0))

    def mmio_latch(
        self, gpa: int, size: int, value: int = 0, *, read_only: bool = False
    ) -> MmioLatch:
        """A register: loads read what was stored last. Served in C, and seen by Python.

        Args: ``gpa``, ``size``: 1, 2, 4 or 8 bytes, aligned to their size. ``value``: what it holds
        at first. ``read_only``: the guest's stores are ignored, as those to a status register.
        Returns: a :class:`MmioLatch`; it stays while the VM is open, also if nobody keeps it.
        Errors: EEXIST the range overlaps another.
        Synchronization: any thread, also while vCPUs run.
        """
        size = check_int("size", size, 1, 8)
        if size not in _WIDTHS:
            raise ValueError(f"size is {size}; it must be 1, 2, 4 or 8")
        gpa = check_int("gpa", gpa, 0, 2**64 - 1)
        if gpa % size:
            raise ValueError(f"gpa {gpa:#x} is not aligned to its {size} bytes")
        state = _state(0)
        lib.latch_set(state, check_value(value, size))
        kind = lib.PYKVM_RANGE_STATUS if read_only else lib.PYKVM_RANGE_LATCH
        return self._add(MmioLatch, gpa, size, kind, {}, state)

    def mmio_ring(
        self,
        gpa: int,
        size: int,
        write: Write | None = None,
        *,
        read: Read | Mapping[int, Read] | None = None,
        capacity: int = 256,
        eventfd: int | HasFileno | None = None,
    ) -> MmioRing:
        """Stores in a range wait in a ring, while the guest goes on. Served in C.

        Args: ``gpa``, ``size`` (bytes): the range. ``write(offset, size, value)``: is called with
        each, in order, before anything else that the guest did later is (but what waits in another
        ring: they are emptied one after the other, KVM's first); without it they wait for
        :meth:`MmioRing.take`. ``read``: as for :meth:`mmio_handler`; loads without it end run().
        ``capacity``: how many stores can wait, at most 65536. ``eventfd``: one of one's own
        (non-blocking; it is duplicated), signalled when a store comes to the empty ring, so that
        somebody can :meth:`~MmioRing.deliver` or take() it although the guest does nothing else.
        While ``write`` is at work, the exits of other vCPUs may have to wait for
        it: it must not wait for one of those (:meth:`VcpuThread.stop`, :meth:`VM.close`).
        Returns: a :class:`MmioRing`; it stays while the VM is open, also if nobody keeps it.
        Errors: EEXIST the range overlaps another.
        Synchronization: any thread, also while vCPUs run.
        """
        if write is not None and not callable(write):
            raise TypeError(f"write must be a function or None, not {type(write).__name__}")
        capacity = check_int("capacity", capacity, 1, 1 << 16)
        gpa, size = _checked(gpa, size)
        self.fileno()
        loads = _forms("read", read, 0)
        with nullcontext() if eventfd is None else EventFd.adopt(eventfd) as told:
            queue = RingQueue(capacity, write, told)
        made = MmioRing(self, self._core, gpa, size, loads, queue)
        self._children.hold(made)
        return made

    def _add(
        self,
        made_as: type[_Kind],
        gpa: int,
        size: int,
        kind: int,
        calls: Mapping[int, Callable[..., Any]],
        state: Any = None,
    ) -> _Kind:
        gpa, size = _checked(gpa, size)
        self.fileno()
        made = made_as(self, self._core, gpa, size, kind, calls, state)
        self._children.hold(made)
        return made


def _checked(gpa: int, size: int) -> tuple[int, int]:
    gpa = check_int("gpa", gpa, 0, 2**64 - 1)
    size = check_int("size", size, 1, 2**64)
    if gpa + size > 2**64:
        raise ValueError(f"gpa {gpa:#x} with size {size:#x} wraps around")
    return gpa, size


def _state(words: int) -> Any:
    state = lib.state_new(words)
    if not state:
        raise MemoryError(f"no memory for {8 * words} bytes of a range")
    return ffi.gc(state, lib.state_drop)


def _forms(name: str, given: object, first: int) -> dict[int, Callable[..., Any]]:
    """Functions by the last three bits of a slot: 4 for a store, log2 of the width."""
    if given is None:
        return {}
    by_width: Mapping[Any, Any]
    by_width = given if isinstance(given, Mapping) else dict.fromkeys(_WIDTHS, given)
    for width, call in by_width.items():
        if width not in _WIDTHS or isinstance(width, bool):
            raise ValueError(f"{name} is for accesses of {width!r} bytes; they have 1, 2, 4 or 8")
        if not callable(call):
            raise TypeError(f"{name} must be a function, not {type(call).__name__}")
    return {first | _WIDTHS.index(width): call for width, call in by_width.items()}
