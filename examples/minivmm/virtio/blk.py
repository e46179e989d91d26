# SPDX-License-Identifier: Apache-2.0
"""A disk: a file, or a block device. Source: VIRTIO 1.2, section 5.2.

Data goes between the file and the guest's own memory, without a copy here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from minivmm.endings import GuestFault
from minivmm.virtio.device import Device, LiveQueue, serve_each
from minivmm.virtio.disk import SECTOR, Disk
from minivmm.virtio.queue import Chain, Queue


class Kind:
    """What a request asks for."""

    IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13


OK, IO_ERROR, UNSUPPORTED = 0, 1, 2

SEG_MAX, READ_ONLY, BLK_SIZE, F_FLUSH = 1 << 2, 1 << 5, 1 << 6, 1 << 9
F_DISCARD, F_WRITE_ZEROES = 1 << 13, 1 << 14

_HEADER = struct.Struct("<I4xQ")
_RANGE = struct.Struct("<QII")
_CONFIG = struct.Struct("<QII4xI8xB3x5IB3x")
_QUEUE = 256
_MOST_RANGES = 16
_MOST_SECTORS = 1 << 21  # of one range: 1 GiB
_UNMAP = 1


class Blk(Device):
    number = 2
    queue_sizes = (_QUEUE,)
    largest = (1 << 30) + 4096  # firmware reads a whole file at once: EDK2 up to 1 GiB

    def __init__(self, disk: Disk, name: str = "") -> None:
        self._disk = disk
        self._writes_through = True
        self._id = name.encode()[:20].ljust(20, b"\0")
        self.features = SEG_MAX | BLK_SIZE | F_FLUSH
        self.features |= READ_ONLY if disk.read_only else F_DISCARD | F_WRITE_ZEROES
        self._config = _CONFIG.pack(
            disk.sectors, 0, _QUEUE - 2, SECTOR, 0,
            _MOST_SECTORS, _MOST_RANGES, 1, _MOST_SECTORS, _MOST_RANGES, 1,
        )  # fmt: skip

    def config(self) -> bytes:
        return self._config

    def activate(self, features: int, queues: Sequence[LiveQueue]) -> None:
        # A driver that cannot ask for a flush takes what was written for safe (5.2.6.2).
        self._writes_through = not features & F_FLUSH

    def serve(self, index: int, queue: Queue) -> bool:
        return serve_each(queue, self._request)

    def _request(self, chain: Chain) -> int:
        """One request: its header, its data, and a byte for how it went."""
        kind, sector = _HEADER.unpack(chain.take(_HEADER.size))
        if not chain.writable or not chain.writable[-1]:
            raise GuestFault("a disk request without room for its status")
        last = chain.writable[-1]
        status, chain.writable[-1] = last[-1:], last[:-1]
        room = sum(map(len, chain.writable))
        try:
            result, written = self._do(kind, sector, chain, room)
        except OSError:
            result, written = IO_ERROR, 0
        status[0] = result
        # The status is the last byte: what counts as written reaches up to it only if all is.
        return written + 1 if written == room else written

    def _do(self, kind: int, sector: int, chain: Chain, room: int) -> tuple[int, int]:
        disk = self._disk
        match kind:
            case Kind.IN:
                done = disk.read(sector, chain.writable, room)
                return (OK if done else IO_ERROR), (room if done else 0)
            case Kind.OUT:
                size = sum(map(len, chain.readable))
                return self._written(disk.write(sector, chain.readable, size)), 0
            case Kind.FLUSH:
                disk.flush()
                return OK, 0
            case Kind.GET_ID:
                return OK, chain.fill(self._id)
            case Kind.DISCARD | Kind.WRITE_ZEROES if self.features & F_DISCARD:
                return self._clear(kind, chain), 0
        return UNSUPPORTED, 0

    def _written(self, done: bool) -> int:
        if done and self._writes_through:
            self._disk.flush()
        return OK if done else IO_ERROR

    def _clear(self, kind: int, chain: Chain) -> int:
        size = sum(map(len, chain.readable))
        if not size or size % _RANGE.size or size > _MOST_RANGES * _RANGE.size:
            return IO_ERROR
        ranges = list(_RANGE.iter_unpack(chain.take(size)))
        for sector, count, flags in ranges:
            if flags & ~_UNMAP or (kind == Kind.DISCARD and flags):
                return UNSUPPORTED
            if count > _MOST_SECTORS or not self._disk.has(sector, count * SECTOR):
                return IO_ERROR
        for sector, count, flags in ranges:
            self._disk.clear(sector, count, hole=kind == Kind.DISCARD or bool(flags & _UNMAP))
        return self._written(True)

    def reset(self) -> None:
        self._writes_through = True
        self._disk.settle()

    def close(self) -> None:
        self._disk.settle()
