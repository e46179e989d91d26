# SPDX-License-Identifier: Apache-2.0
"""Numbers in memory that a running guest shares: that part of :class:`pykvm.GuestMemory`."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from pykvm._descriptor import check_int
from pykvm._native import ffi, lib
from pykvm.errors import ClosedError

__all__ = ["Scalars", "memory_fence"]

_ALL_ONES = 2**64 - 1
_load = lib.load_scalar
_load_acquire = lib.load_acquire
_store = lib.store_scalar
_store_release = lib.store_release


def memory_fence() -> None:
    """What was read and written before is so, for the guest's CPUs too, before what comes after.

    For what :meth:`GuestMemory.load_acquire` and :meth:`GuestMemory.store_release` leave open: a
    store before a later load. Whoever asks to be told and then looks whether something came
    meanwhile needs it between the two.
    """
    lib.memory_fence()


class Scalars:
    """The part of a memory that reads and writes single numbers."""

    __slots__ = ("_bytes", "_map", "_size", "_start")

    #: The memory for C, made at the first use. C is handed this object itself, so that nobody can
    #: unmap under a call: close() finds the mapping in use.
    _bytes: Any
    _map: mmap.mmap
    _size: int
    _start: int

    if TYPE_CHECKING:

        def _span(self, offset: int, size: int | None) -> tuple[int, int]: ...

    def load(self, offset: int, size: int) -> int:
        """The little-endian number of ``size`` bytes (1, 2, 4, 8) at ``offset``, a multiple of it.

        One access, never torn; it says nothing of what is read before and after it.
        """
        return self._loaded(_load, offset, size)

    def load_acquire(self, offset: int, size: int) -> int:
        """As :meth:`load`, and whatever is read or written later is so after it.

        What the guest wrote before its store-release of the value that is seen here (the entries
        of a ring before its index) is seen from now on.
        """
        return self._loaded(_load_acquire, offset, size)

    def store(self, offset: int, size: int, value: int) -> None:
        """Writes ``value`` as ``size`` bytes (1, 2, 4, 8), little-endian, at a multiple of that.

        One access, never torn; it says nothing of what is written before and after it.
        """
        self._stored(_store, offset, size, value)

    def store_release(self, offset: int, size: int, value: int) -> None:
        """As :meth:`store`, and whatever was read or written earlier is so before it.

        A guest whose load-acquire sees this value sees what was written here before.
        """
        self._stored(_store_release, offset, size, value)

    def _loaded(self, function: Any, offset: int, size: int) -> int:
        try:
            value: int = function(self._bytes, self._size, offset, size)
        except (TypeError, OverflowError):
            # Not made yet, or something is wrong: the slow way finds the words.
            offset, size = self._place(offset, size)
            value = function(self._memory(), self._size, offset, size)
        if value == _ALL_ONES:
            self._place(offset, size)
        return value

    def _stored(self, function: Any, offset: int, size: int, value: int) -> None:
        try:
            if not function(self._bytes, self._size, offset, size, value):
                return
        except (TypeError, OverflowError):
            pass
        offset, size = self._place(offset, size)
        value = check_int("value", value, 0, 2 ** (8 * size) - 1)
        function(self._memory(), self._size, offset, size, value)

    def _memory(self) -> Any:
        memory = self._bytes
        if memory is None:
            try:
                whole = memoryview(self._map)[self._start : self._start + self._size]
            except ValueError:
                raise ClosedError("this GuestMemory is closed") from None
            self._bytes = memory = ffi.from_buffer(whole)
        return memory

    def _place(self, offset: int, size: int) -> tuple[int, int]:
        """Both, or what is wrong with them."""
        size = check_int("size", size, 1, 8)
        if size not in (1, 2, 4, 8):
            raise ValueError(f"size is {size}; it must be 1, 2, 4 or 8")
        first, _ = self._span(offset, size)
        offset = first - self._start
        if offset % size:
            raise ValueError(
                f"offset {offset:#x} is no multiple of {size}: an access across it could be torn"
            )
        return offset, size
