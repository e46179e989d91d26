# SPDX-License-Identifier: Apache-2.0
"""A virtio driver in Python: it does in a piece of memory what a guest's does in its own."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from minivmm.ram import Ram
from minivmm.virtio.device import Device
from minivmm.virtio.transport import DRIVER_OK, FEATURES_OK, VERSION_1, Reg, Transport

from pykvm import GuestMemory
from tests.unit.vmm.fakes import FakeEdge

START, SIZE = 0x4000_0000, 1 << 20
#: Where the rings of queue n lie; what is beyond is for buffers.
RINGS, RING_ROOM, BUFFERS = START, 0x4000, START + 0x4_0000
NEXT, WRITE, INDIRECT = 1, 2, 4


class Driver:
    """Drives one device. ``pokes``: what the device asked to be called for by itself."""

    def __init__(self, device: Device, *, size: int = 8) -> None:
        memory = GuestMemory(SIZE)
        self.bytes = memory.view()
        self.ram = Ram(START, memory)
        self.line = FakeEdge()
        self.pokes: list[int] = []
        device.poke = self.pokes.append
        self.transport = Transport(device, self.ram, self.line)
        self.size = size
        self._offered = dict.fromkeys(range(len(device.queue_sizes)), 0)
        self._seen = dict(self._offered)
        self._free = BUFFERS

    # Registers ---------------------------------------------------------------------------------

    def get(self, offset: int) -> int:
        return self.transport.read(offset, 4)

    def set(self, offset: int, value: int) -> None:
        self.transport.write(offset, 4, value)

    def offered(self) -> int:
        low, high = (self._features(number) for number in (0, 1))
        return low | high << 32

    def _features(self, number: int) -> int:
        self.set(Reg.DEVICE_FEATURES_SEL, number)
        return self.get(Reg.DEVICE_FEATURES)

    def negotiate(self, features: int) -> bool:
        """Up to FEATURES_OK, and whether the device agrees."""
        self.set(Reg.STATUS, 0)
        self.set(Reg.STATUS, 3)
        for number in (0, 1):
            self.set(Reg.DRIVER_FEATURES_SEL, number)
            self.set(Reg.DRIVER_FEATURES, features >> 32 * number & 0xFFFF_FFFF)
        self.set(Reg.STATUS, 3 | FEATURES_OK)
        return bool(self.get(Reg.STATUS) & FEATURES_OK)

    def set_up(self, features: int = 0) -> None:
        """All the way to a device at work."""
        assert self.negotiate(features | VERSION_1)
        for index in self._offered:
            self.set_up_queue(index)
        self.set(Reg.STATUS, 3 | FEATURES_OK | DRIVER_OK)
        self.pokes.clear()

    def set_up_queue(self, index: int) -> None:
        self.set(Reg.QUEUE_SEL, index)
        self.set(Reg.QUEUE_NUM, self.size)
        table, avail, used = self.rings(index)
        for offset, gpa in (
            (Reg.QUEUE_DESC, table),
            (Reg.QUEUE_DRIVER, avail),
            (Reg.QUEUE_DEVICE, used),
        ):
            self.set(offset, gpa & 0xFFFF_FFFF)
            self.set(offset + 4, gpa >> 32)
        self.set(Reg.QUEUE_READY, 1)

    # Queues ------------------------------------------------------------------------------------

    def rings(self, index: int) -> tuple[int, int, int]:
        """Descriptor table, available ring, used ring of a queue."""
        base = RINGS + index * RING_ROOM
        return base, base + 0x2000, base + 0x3000

    def poke(self, gpa: int, form: str, *values: int) -> None:
        struct.pack_into(form, self.bytes, gpa - START, *values)

    def peek(self, gpa: int, form: str) -> tuple[int, ...]:
        return struct.unpack_from(form, self.bytes, gpa - START)

    def describe(self, gpa: int, number: int, to: int, size: int, flags: int, then: int) -> None:
        self.poke(gpa + 16 * number, "<QIHH", to, size, flags, then)

    def buffer(self, data: bytes | int) -> tuple[int, int]:
        """Memory of one's own: these bytes, or so many zeros."""
        data = bytes(data)
        gpa, self._free = self._free, self._free + len(data) + 16
        self.bytes[gpa - START : gpa - START + len(data)] = data
        return gpa, len(data)

    def offer(self, index: int, head: int) -> None:
        """Makes a chain available, and says so."""
        _, avail, _ = self.rings(index)
        count = self._offered[index]
        self.poke(avail + 4 + 2 * (count % self.size), "<H", head)
        self._offered[index] = (count + 1) & 0xFFFF
        self.poke(avail + 2, "<H", self._offered[index])

    def request(
        self, index: int, send: Sequence[bytes], room: Sequence[int], *, indirect: bool = False
    ) -> tuple[int, list[bytes]]:
        """One request, from start to end: how much was written, and what."""
        buffers = [(*self.buffer(data), 0) for data in send]
        buffers += [(*self.buffer(size), WRITE) for size in room]
        table, _, used = self.rings(index)
        if indirect:
            place, size = self.buffer(16 * len(buffers) + 16)
            place += -place % 16
            self.describe(table, 0, place, 16 * len(buffers), INDIRECT, 0)
            table = place
        for number, (gpa, size, flags) in enumerate(buffers):
            more = NEXT if number + 1 < len(buffers) else 0
            self.describe(table, number, gpa, size, flags | more, number + 1)
        self.offer(index, 0)
        self.set(Reg.QUEUE_NOTIFY, index)
        before = self._seen[index]
        (now,) = self.peek(used + 2, "<H")
        assert now == (before + 1) & 0xFFFF, "the request was not given back"
        self._seen[index] = now
        head, written = self.peek(used + 4 + 8 * (before % self.size), "<II")
        assert head == 0
        filled = [gpa - START for gpa, _, flags in buffers if flags]
        return written, [
            bytes(self.bytes[at : at + size]) for at, size in zip(filled, room, strict=True)
        ]
