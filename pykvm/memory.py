# SPDX-License-Identifier: Apache-2.0
"""Memory of a guest: the host's mapping. What shows it to the guest is a slot (slot.py)."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

from pykvm._descriptor import Closing, HasFileno, check_int, duplicate, octets
from pykvm._mapping import unmap
from pykvm._native import ffi
from pykvm._scalars import Scalars
from pykvm.errors import ClosedError, naming

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

__all__ = ["GuestMemory", "check_size"]

#: Where a mapping may use huge pages, KVM can too only if host and guest address agree on this.
_ALIGNMENT = 2 << 20
_LARGEST = 1 << 52


class GuestMemory(Scalars, Closing):
    """One mapping of host memory that guests can be given.

    By default private and anonymous, zeroed, aligned to 2 MiB, and read as zeros by a forked child.
    :meth:`memfd` and :meth:`file` make shared ones, :meth:`device` one of registers. Offsets and
    sizes are bytes; every access is checked against the mapping's end.

    A running guest sees and makes changes at any moment: what :meth:`read`, :meth:`write` and views
    move races with it by nature, and more than one byte may be torn. :meth:`load` and :meth:`store`
    are single accesses, for what host and guest share while both run.

    Synchronization: any thread; close() is refused while a slot or a view holds the mapping.
    """

    __slots__ = ("__weakref__", "_kind")

    def __init__(self, size: int, *, huge_pages: bool = False) -> None:
        """``size`` bytes of private anonymous memory, a multiple of the host's page size.

        ``huge_pages`` advises the kernel to back it with transparent huge pages. Memory is taken
        from the host when it is first touched.
        Errors: ENOMEM the host refuses the mapping, EINVAL it has no transparent huge pages.
        """
        size = check_size(size)
        # mmap aligns to pages only: take more address space and start inside it.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        with naming("mmap", size=size):
            room = mmap.mmap(-1, size + _ALIGNMENT, flags=flags)
        try:
            # MADV_DONTFORK would leave the child a hole that is no longer ours to read or unmap.
            room.madvise(_MADV_WIPEONFORK)
            if huge_pages:
                with naming("madvise MADV_HUGEPAGE", size=size):
                    room.madvise(mmap.MADV_HUGEPAGE)
            start = -int(ffi.cast("uintptr_t", ffi.from_buffer(room))) % _ALIGNMENT
        except BaseException:
            room.close()
            raise
        self._own(room, start, size, "private")

    def _own(self, room: mmap.mmap, start: int, size: int, kind: str) -> None:
        self._map = room
        self._start = start
        self._size = size
        self._kind = kind
        self._bytes: Any = None

    @classmethod
    def _of_file(cls, fd: int, size: int, offset: int, flags: int, kind: str) -> GuestMemory:
        self = cls.__new__(cls)
        with naming(f"mmap {kind}", size=size, offset=offset):
            room = mmap.mmap(fd, size, flags=flags, offset=offset)
        self._own(room, 0, size, kind)
        return self

    @classmethod
    def memfd(cls, size: int, *, hugetlb: bool = False) -> GuestMemory:
        """``size`` bytes of anonymous memory that can be shared with other processes.

        With ``hugetlb``, of the host's reserved huge pages, whose size ``size`` must be a multiple
        of.
        Errors: ENOMEM too few huge pages are reserved.
        """
        size = check_size(size)
        kind = "hugetlb" if hugetlb else "memfd"
        flags = os.MFD_CLOEXEC | (os.MFD_HUGETLB if hugetlb else 0)
        with naming("memfd_create"):
            fd = os.memfd_create("pykvm guest memory", flags)
        try:
            with naming(f"ftruncate {kind}", size=size):
                os.ftruncate(fd, size)
            return cls._of_file(fd, size, 0, mmap.MAP_SHARED, kind)
        finally:
            os.close(fd)

    @classmethod
    def file(
        cls, given: int | HasFileno, size: int, *, offset: int = 0, private: bool = False
    ) -> GuestMemory:
        """``size`` bytes of an open file from ``offset``: writes reach it, unless ``private``.

        ``offset`` is a multiple of the host's page size. ValueError where the file ends earlier:
        touching what lies beyond would kill the process with SIGBUS, as will truncating it later.
        Errors: EACCES the file is not open for reading and (unless ``private``) writing.
        """
        size, offset = check_size(size), _check_offset(offset)
        fd = duplicate(given)
        try:
            there = os.fstat(fd).st_size
            if there < offset + size:
                raise ValueError(
                    f"the file holds {there:#x} bytes, less than offset + size, {offset + size:#x}"
                )
            flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
            return cls._of_file(fd, size, offset, flags, "file")
        finally:
            os.close(fd)

    @classmethod
    def device(cls, given: int | HasFileno, offset: int, size: int) -> GuestMemory:
        """``size`` bytes of registers that a driver lets this process map, such as a VFIO region.

        ``offset`` says where, in the driver's own terms (VFIO: the region's offset). In a slot
        (:meth:`VM.add_memory`, without ``log_dirty``) they are the guest's: its accesses reach the
        device and no exit happens. From the host, use :meth:`load` and :meth:`store` alone: they
        are one access each, whereas :meth:`read`, :meth:`write` and views copy in whatever widths
        the C library likes, which a register may answer with SIGBUS.
        Errors: EINVAL nothing there that may be mapped, ENODEV the driver maps nothing, EACCES.
        """
        size, offset = check_size(size), _check_offset(offset)
        fd = duplicate(given)
        try:
            return cls._of_file(fd, size, offset, mmap.MAP_SHARED, "device")
        finally:
            os.close(fd)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def __len__(self) -> int:
        return self._size

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._map.closed

    def _span(self, offset: int, size: int | None) -> tuple[int, int]:
        """Where ``size`` bytes at ``offset``, or all from there, lie in the mapping."""
        if self._map.closed:
            raise ClosedError("this GuestMemory is closed")
        offset = check_int("offset", offset, 0, self._size)
        size = self._size - offset if size is None else check_int("size", size, 0, self._size)
        if offset + size > self._size:
            raise ValueError(
                f"{size:#x} bytes at offset {offset:#x} end beyond the memory's {self._size:#x}"
            )
        start = self._start + offset
        return start, start + size

    def read(self, offset: int, size: int) -> bytes:
        """A copy of ``size`` bytes at ``offset``."""
        # The common case at once: checks of types cost more than a page's copy.
        try:
            if 0 <= offset <= self._size - size <= self._size:
                start = self._start + offset
                return self._map[start : start + size]
        except (TypeError, ValueError):  # what follows says why
            pass
        first, last = self._span(offset, check_int("size", size, 0, self._size))
        return self._map[first:last]

    def read_into(self, offset: int, target: Buffer) -> None:
        """Fills ``target``, any writable contiguous buffer, from ``offset``; nothing is allocated.

        With one buffer for many reads, that saves more than half of what a large :meth:`read`
        costs.
        """
        with octets("target", target) as view:
            if view.readonly:
                raise TypeError(f"target must be writable, and {type(target).__name__} is not")
            first, last = self._span(offset, len(view))
            with memoryview(self._map) as room:
                view[:] = room[first:last]

    def write(self, offset: int, data: Buffer) -> None:
        """Writes ``data``, any contiguous buffer, at ``offset``."""
        try:
            size = len(data)  # of items: where these are no bytes, mmap notices
            if 0 <= offset <= self._size - size:
                start = self._start + offset
                self._map[start : start + size] = data
                return
        except (TypeError, ValueError, IndexError, BufferError):  # what follows says why
            pass
        with octets("data", data) as source:
            first, last = self._span(offset, len(source))
            self._map[first:last] = source

    @property
    def hva(self) -> int:
        """Host virtual address of its first byte, for other parts of the kernel (vhost, VFIO).

        It means this memory until close(), which does not know who was told of it.
        """
        return self._hold(0, 0)[1]

    def view(self, offset: int = 0, size: int | None = None) -> memoryview:
        """The memory itself, writable, without a copy. It holds the mapping until released."""
        first, last = self._span(offset, size)
        return memoryview(self._map)[first:last]

    def close(self) -> None:
        """Unmaps. BufferError, with nothing changed, while a slot or a view holds the memory."""
        self._bytes = None  # our own view: what else holds the mapping is the user's
        try:
            unmap(self._map)
        except BufferError:
            raise BufferError(
                "this GuestMemory is in use by a memory slot or a view: close or release it first"
            ) from None

    def __repr__(self) -> str:
        return f"<GuestMemory {'closed' if self.closed else self._kind} {self._size:#x} bytes>"

    def _hold(self, offset: int, size: int) -> tuple[Any, int]:
        """Something that keeps the mapping in place while it lives, and the hva of ``offset``."""
        first, _ = self._span(offset, size)
        hold = ffi.from_buffer(self._map)
        return hold, int(ffi.cast("uintptr_t", hold)) + first


#: mmap(2) and madvise(2); Python's mmap has no name for them before 3.12 and 3.14.
_MAP_NORESERVE = 0x4000
_MADV_WIPEONFORK = 18


def check_size(size: int) -> int:
    """``size`` as bytes of whole pages, or a TypeError or ValueError."""
    size = check_int("size", size, 1, _LARGEST)
    if size % mmap.PAGESIZE:
        raise ValueError(f"size {size:#x} is no multiple of the host's page, {mmap.PAGESIZE:#x}")
    return size


def _check_offset(offset: int) -> int:
    offset = check_int("offset", offset, 0, _LARGEST)
    if offset % mmap.PAGESIZE:
        raise ValueError(
            f"offset {offset:#x} is no multiple of the host's page, {mmap.PAGESIZE:#x}"
        )
    return offset
