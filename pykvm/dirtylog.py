# SPDX-License-Identifier: Apache-2.0
"""Dirty logs: which pages of a slot were written to, as bitmaps."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from pykvm._descriptor import check_int, octets
from pykvm._native import ffi, lib
from pykvm._vmcore import VmCore
from pykvm.bitmap import bitmap_pages, bitmap_runs

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

__all__ = ["DirtyLog"]


class DirtyLog:
    """The part of a slot that tells which of its pages were written to."""

    __slots__ = ()

    slot: int
    size: int
    _bitmap: Any

    if TYPE_CHECKING:

        def _open(self, call: str) -> AbstractContextManager[VmCore]: ...

    @property
    def pages(self) -> int:
        """How many of the host's pages the slot has: bits of its dirty log."""
        return self.size // mmap.PAGESIZE

    def get_dirty_log(self) -> bytes:
        """KVM_GET_DIRTY_LOG: the pages that were written to, and (as a rule) starts the log anew.

        Capability: none; for a slot with ``log_dirty``.

        With :meth:`VM.enable_manual_dirty_log_protect2` the log stays as it is: clear_dirty_log().
        Returns: one bit per page of the host, the first page in bit 0 of the first byte; whole
        words of 8 bytes. :func:`pykvm.bitmap_runs` reads it;
        :meth:`dirty_runs` and :meth:`dirty_pages` do both, without a copy.
        Errors: ENOENT the slot keeps no log; ENXIO the VM has dirty rings, and no bitmap with them.
        Synchronization: any thread, also while vCPUs run: a page is in this log or in the next.
        Source: api.rst 4.8.
        """
        with self._logged() as bitmap:
            return bytes(bitmap)

    def dirty_runs(self, merge_gap: int = 0) -> list[tuple[int, int]]:
        """KVM_GET_DIRTY_LOG as runs of pages, each (first page, count); see :meth:`get_dirty_log`.

        Capability: none; for a slot with ``log_dirty``.

        Args: ``merge_gap``: runs with so few pages or fewer between them become one, which then
        holds these pages too: fewer and longer copies.
        Returns: the runs, in order; page 0 is the slot's first.
        Errors: ENOENT the slot keeps no log; ENXIO the VM has dirty rings, and no bitmap with them.
        Synchronization: any thread, also while vCPUs run: a page is in this log or in the next.
        Source: api.rst 4.8.
        """
        merge_gap = check_int("merge_gap", merge_gap, 0, 2**32 - 1)  # before the log starts anew
        with self._logged() as bitmap:
            return bitmap_runs(bitmap, merge_gap)

    def dirty_pages(self) -> memoryview:
        """KVM_GET_DIRTY_LOG as numbers of pages, a memoryview of format ``I``.

        Capability: none; for a slot with ``log_dirty``.

        Returns: the numbers, in order; page 0 is the slot's first. See :meth:`get_dirty_log`.
        Errors: ENOENT the slot keeps no log; ENXIO the VM has dirty rings, and no bitmap with them.
        Synchronization: any thread, also while vCPUs run: a page is in this log or in the next.
        Source: api.rst 4.8.
        """
        with self._logged() as bitmap:
            return bitmap_pages(bitmap)

    @contextmanager
    def _logged(self) -> Iterator[Buffer]:
        """The log, in a bitmap that the slot keeps: to make one costs more than to fill it."""
        with self._open("KVM_GET_DIRTY_LOG") as core:
            if self._bitmap is None:
                self._bitmap = ffi.new("uint8_t[]", _bytes_for(self.pages))
            bitmap = self._bitmap
            core.call(lib.get_dirty_log, "KVM_GET_DIRTY_LOG", self.slot, bitmap, slot=self.slot)
            yield ffi.buffer(bitmap)

    def clear_dirty_log(self, first_page: int, num_pages: int, bitmap: Buffer) -> None:
        """KVM_CLEAR_DIRTY_LOG: starts the log of some pages anew.

        Capability: MANUAL_DIRTY_LOG_PROTECT2, switched on.

        Clear first, then copy: what is written between a copy and its clear would be lost.
        Args: ``first_page``: a multiple of 64. ``num_pages``: a multiple of 64, unless they reach
        the slot's end. ``bitmap``: those pages whose bit is set are cleared; bit 0 is
        ``first_page``; 8 bytes for each 64 pages.
        Errors: ENOENT the slot keeps no log; ENXIO the VM has dirty rings, and no bitmap with them.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 4.117.
        """
        first_page = check_int("first_page", first_page, 0, self.pages - 1)
        if first_page % 64:
            raise ValueError(
                f"first_page is {first_page}; KVM clears 64 pages at a time: it must be a multiple"
            )
        rest = self.pages - first_page
        num_pages = check_int("num_pages", num_pages, 1, rest)
        if num_pages % 64 and num_pages != rest:
            raise ValueError(
                f"num_pages is {num_pages}; KVM clears 64 pages at a time: it must be a multiple, "
                f"or all {rest} to the slot's end"
            )
        with octets("bitmap", bitmap) as view:
            if len(view) != _bytes_for(num_pages):
                raise ValueError(
                    f"bitmap has {len(view)} bytes; for {num_pages} pages it must have "
                    f"{_bytes_for(num_pages)}, 8 for each 64"
                )
            bits = ffi.new("uint8_t[]", view.tobytes())
        with self._open("KVM_CLEAR_DIRTY_LOG") as core:
            core.call(
                lib.clear_dirty_log,
                "KVM_CLEAR_DIRTY_LOG",
                self.slot, first_page, num_pages, bits,
                slot=self.slot, first_page=first_page, num_pages=num_pages,
            )  # fmt: skip


def _bytes_for(pages: int) -> int:
    """Bytes of a bitmap: the kernel fills and reads whole 64-bit words."""
    return -(-pages // 64) * 8
