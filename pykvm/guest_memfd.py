# SPDX-License-Identifier: Apache-2.0
"""Memory that is a guest's first of all: guest_memfd, a file that only one VM can show."""

from __future__ import annotations

import errno
import mmap
import weakref
from typing import TYPE_CHECKING

from pykvm._described import Described
from pykvm._descriptor import Closing, Descriptor, check_int
from pykvm._mapping import settle
from pykvm._native import ffi, lib
from pykvm.errors import ClosedError, KvmBusyError
from pykvm.memory import GuestMemory

if TYPE_CHECKING:
    from pykvm._vmcore import VmCore

__all__ = ["GuestMemfd", "GuestMemfdFlag"]


class GuestMemfdFlag(Described):
    """What :meth:`VM.create_guest_memfd` can make: bits."""

    MMAP = 1, "The file can be mapped. On arm64, only such a file can be shown to a guest."
    INIT_SHARED = 2, "The host can touch the memory as the guest can; without it, only the guest."


class _Hold:
    """Lives as long as a slot needs the file, and what it keeps mapped for KVM itself."""

    __slots__ = ("__weakref__", "mapping")

    def __init__(self, mapping: object) -> None:
        self.mapping = mapping


class GuestMemfd(Closing):
    """A file of guest memory, made by :meth:`VM.create_guest_memfd` for slots of that VM.

    Attributes: ``size`` (bytes), ``flags`` (of :class:`GuestMemfdFlag`). Its memory is taken from
    the host when it is first touched, and cannot be swapped out.

    Synchronization: any thread; close() is refused while a slot shows it.
    Source: api.rst 4.142.
    """

    __slots__ = ("__weakref__", "_core", "_holds", "flags", "size")

    def __init__(self, vm_core: VmCore, size: int, flags: int) -> None:
        self._core = Descriptor(-1, "GuestMemfd")
        self._core.receive(
            vm_core, lib.create_guest_memfd, "KVM_CREATE_GUEST_MEMFD", size, flags,
            size=size, flags=flags,
        )  # fmt: skip
        self._holds: weakref.WeakSet[_Hold] = weakref.WeakSet()
        self.size = size
        self.flags = flags

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core.fd < 0

    def fileno(self) -> int:
        """The descriptor's number. ClosedError after close()."""
        if self._core.fd < 0:
            raise ClosedError("this GuestMemfd is closed")
        return self._core.fd

    @property
    def shared(self) -> bool:
        """Whether the host may touch the memory: it was made with MMAP and INIT_SHARED."""
        both = GuestMemfdFlag.MMAP | GuestMemfdFlag.INIT_SHARED
        return self.flags & both == both

    def map(self, *, offset: int = 0, size: int | None = None) -> GuestMemory:
        """The memory for the host: ``size`` bytes from ``offset``, by default all that follow.

        It is the same memory that a slot shows to the guest; it stays after close().
        Args: ``offset`` and ``size`` are multiples of the host's page size.
        ValueError where it was not made with MMAP and INIT_SHARED: mapping it would fail, or
        touching the mapping would end the process.
        """
        fd = self.fileno()
        offset, size = self._range(offset, size)
        if not self.shared:
            raise ValueError(
                f"this GuestMemfd has flags {self.flags:#x}: the host can touch it only where it "
                f"was made with MMAP and INIT_SHARED"
            )
        return GuestMemory._of_file(fd, size, offset, mmap.MAP_SHARED, "guest_memfd")

    def allocate(self, *, offset: int = 0, size: int | None = None) -> None:
        """fallocate(2): takes the range's memory from the host now, not when it is first touched.

        Args: ``offset`` and ``size`` (bytes) are multiples of the host's page size; by default all.
        Errors: ENOMEM.
        """
        self._fill(0, offset, size)

    def punch_hole(self, *, offset: int = 0, size: int | None = None) -> None:
        """fallocate(2) with FALLOC_FL_PUNCH_HOLE: gives the range's memory back to the host.

        Who touches it next, guest or host, finds zeros.
        Args: ``offset`` and ``size`` (bytes) are multiples of the host's page size; by default all.
        Errors: none of the kernel's.
        """
        self._fill(1, offset, size)

    def _fill(self, punch: int, offset: int, size: int | None) -> None:
        self.fileno()
        offset, size = self._range(offset, size)
        self._core.call(
            lib.fill_range, "fallocate guest_memfd", punch, offset, size, offset=offset, size=size
        )

    def _range(self, offset: int, size: int | None) -> tuple[int, int]:
        """A range of the file in whole pages."""
        offset = check_int("offset", offset, 0, self.size - 1)
        rest = self.size - offset
        size = rest if size is None else check_int("size", size, 1, rest)
        for name, value in (("offset", offset), ("size", size)):
            if value % mmap.PAGESIZE:
                raise ValueError(
                    f"{name} {value:#x} is no multiple of the host's page, {mmap.PAGESIZE:#x}"
                )
        return offset, size

    def _hold(self, size: int, memory: GuestMemory | None) -> tuple[_Hold, int]:
        """For a slot: what refuses close() while it lives, and an hva for KVM's own accesses."""
        self.fileno()
        if memory is not None:
            mapping, hva = memory._hold(0, size)
        else:
            # Nobody may touch it, so KVM's own accesses have to fail: at addresses that are ours,
            # lest they hit something else.
            room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
            mapping = ffi.from_buffer(room)
            hva = int(ffi.cast("uintptr_t", mapping))
        hold = _Hold(mapping)
        self._holds.add(hold)
        return hold, hva

    def close(self) -> None:
        """Closes the file. KvmBusyError while a slot shows it: the guest would lose its memory.

        What is mapped stays. The memory goes back to the host with the last user of the file.
        """
        if self._core.fd < 0:
            return
        if self._holds:
            settle()
        if self._holds and not self._core.inherited:
            raise KvmBusyError(
                errno.EBUSY, "close GuestMemfd", {"fd": self._core.fd},
                "A memory slot shows it to the guest: close that first.",
            )  # fmt: skip
        self._core.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"fd {self._core.fd}"
        return f"<GuestMemfd {state} {self.size:#x} bytes flags {self.flags:#x}>"
