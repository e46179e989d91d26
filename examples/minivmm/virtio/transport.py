# SPDX-License-Identifier: Apache-2.0
"""Virtio over MMIO: the registers of a device, and its states from reset to work.

InterruptStatus always tells of used buffers. Its true value would be known here, but not where the
kernel serves a queue by itself (vhost), and a driver that looks in vain loses nothing.
Source: Virtual I/O Device (VIRTIO) 1.2, sections 2.1-2.4, 3.1 and 4.2.
"""

from __future__ import annotations

import threading

from minivmm.endings import GuestFault
from minivmm.lines import Edge
from minivmm.quick import Status
from minivmm.ram import Ram
from minivmm.virtio.device import Device, LiveQueue
from minivmm.virtio.queue import Queue


class Reg:
    """Offsets of registers, 4 bytes each."""

    MAGIC, VERSION, DEVICE_ID, VENDOR_ID = 0x00, 0x04, 0x08, 0x0C
    DEVICE_FEATURES, DEVICE_FEATURES_SEL = 0x10, 0x14
    DRIVER_FEATURES, DRIVER_FEATURES_SEL = 0x20, 0x24
    QUEUE_SEL, QUEUE_NUM_MAX, QUEUE_NUM, QUEUE_READY = 0x30, 0x34, 0x38, 0x44
    QUEUE_NOTIFY, INTERRUPT_STATUS, INTERRUPT_ACK, STATUS = 0x50, 0x60, 0x64, 0x70
    QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE = 0x80, 0x90, 0xA0  # 8 bytes, as two words
    SHM_LEN_LOW, SHM_LEN_HIGH, SHM_BASE_LOW, SHM_BASE_HIGH = 0xB0, 0xB4, 0xB8, 0xBC
    CONFIG_GENERATION, CONFIG = 0xFC, 0x100


DRIVER_OK, FEATURES_OK, NEEDS_RESET = 4, 8, 0x40
INDIRECT_DESC, EVENT_IDX, VERSION_1 = 1 << 28, 1 << 29, 1 << 32
USED_BUFFER, CONFIG_CHANGE = 1, 2

_ADDRESSES = {Reg.QUEUE_DESC: "table", Reg.QUEUE_DRIVER: "avail", Reg.QUEUE_DEVICE: "used"}


class QueueSetup:
    """What the driver says of a queue before it is ready; then ``live``."""

    __slots__ = ("avail", "live", "most", "size", "table", "used")

    def __init__(self, most: int) -> None:
        self.most = self.size = most
        self.table = self.avail = self.used = 0
        self.live: Queue | None = None


class Transport:
    """The registers of one device.

    Synchronization: loads take no lock, so that no CPU waits for a disk; whatever changes or uses
    queues does.
    """

    def __init__(self, device: Device, ram: Ram, line: Edge) -> None:
        self.device = device
        self._ram = ram
        self._line = line
        self._lock = threading.RLock()
        self._telling = threading.Lock()  # of InterruptStatus
        self._interrupt_status = Status(Reg.INTERRUPT_STATUS, 4, USED_BUFFER)
        self.quick = (self._interrupt_status,)
        self._generation = 0
        self.requests = 0
        self.interrupts = 0
        #: What the driver did last that cannot be.
        self.complaint = ""
        self.forget()

    def forget(self) -> None:
        """Back to the state of power-on: no features, no queues."""
        self._status = 0
        self._interrupt_status.value = USED_BUFFER
        self._features = 0
        self._selected = {Reg.DEVICE_FEATURES_SEL: 0, Reg.DRIVER_FEATURES_SEL: 0, Reg.QUEUE_SEL: 0}
        self._queues = [QueueSetup(size) for size in self.device.queue_sizes]

    @property
    def offered(self) -> int:
        return self.device.features | INDIRECT_DESC | EVENT_IDX | VERSION_1

    @property
    def _queue(self) -> QueueSetup | None:
        index = self._selected[Reg.QUEUE_SEL]
        return self._queues[index] if index < len(self._queues) else None

    # Loads -------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if offset == Reg.INTERRUPT_STATUS and size == 4:
            return self._interrupt_status.value
        if offset >= Reg.CONFIG:
            data = self.device.config()[offset - Reg.CONFIG :][:size]
            return int.from_bytes(data, "little")
        if size != 4:
            return 0
        queue = self._queue
        match offset:
            case Reg.MAGIC:
                return int.from_bytes(b"virt", "little")
            case Reg.VERSION:
                return 2
            case Reg.DEVICE_ID:
                return self.device.number
            case Reg.VENDOR_ID:
                return int.from_bytes(b"PKVM", "little")
            case Reg.DEVICE_FEATURES:
                return _word(self.offered, self._selected[Reg.DEVICE_FEATURES_SEL])
            case Reg.QUEUE_NUM_MAX:
                return queue.most if queue else 0
            case Reg.QUEUE_READY:
                return int(queue is not None and queue.live is not None)
            case Reg.STATUS:
                return self._status
            case Reg.SHM_LEN_LOW | Reg.SHM_LEN_HIGH | Reg.SHM_BASE_LOW | Reg.SHM_BASE_HIGH:
                # There is no shared memory.
                return 0xFFFF_FFFF
            case Reg.CONFIG_GENERATION:
                return self._generation
        return 0

    # Stores ------------------------------------------------------------------------------------

    def write(self, offset: int, size: int, value: int) -> None:
        if offset >= Reg.CONFIG:
            with self._lock:
                self.device.write_config(offset - Reg.CONFIG, value.to_bytes(size, "little"))
        elif size != 4:
            return
        elif offset == Reg.INTERRUPT_ACK:
            with self._telling:
                self._interrupt_status.value &= ~value | USED_BUFFER
        elif offset == Reg.QUEUE_NOTIFY:
            self.notified(value)  # only where no ioeventfd takes it
        elif offset in self._selected:
            self._selected[offset] = value
        else:
            with self._lock:
                self._change(offset, value)

    def _change(self, offset: int, value: int) -> None:
        queue = self._queue
        if offset == Reg.STATUS:
            self._set_status(value)
        elif offset == Reg.DRIVER_FEATURES:
            if (
                not self._status & FEATURES_OK
                and (word := self._selected[Reg.DRIVER_FEATURES_SEL]) < 2
            ):
                self._features &= ~(0xFFFF_FFFF << 32 * word)
                self._features |= value << 32 * word
        elif queue is None:
            return
        elif offset == Reg.QUEUE_READY:
            self._set_ready(queue, bool(value & 1))
        elif queue.live is None and offset == Reg.QUEUE_NUM:
            queue.size = value
        elif queue.live is None and offset & ~4 in _ADDRESSES:
            name, low = _ADDRESSES[offset & ~4], not offset & 4
            before = getattr(queue, name)
            both = (before >> 32 << 32 | value) if low else (before & 0xFFFF_FFFF | value << 32)
            setattr(queue, name, both)

    def _set_status(self, value: int) -> None:
        if value == 0:
            self.forget()
            self.device.reset()
            return
        new = value & ~self._status
        if new & FEATURES_OK:
            acceptable = not self._features & ~self.offered and self._features & VERSION_1
            if not acceptable:
                value &= ~FEATURES_OK
        if not (self._status | value) & FEATURES_OK:  # or it would work with none agreed
            value &= ~DRIVER_OK
        # Bits are only ever added; what we say is broken stays so until reset.
        self._status |= value & 0xFF & ~NEEDS_RESET
        if new & DRIVER_OK and self._status & FEATURES_OK:
            self._activate()

    def _activate(self) -> None:
        kicks = self.device.kicks or [-1] * len(self._queues)
        live = [
            LiveQueue(queue.size, queue.table, queue.avail, queue.used, kick, self.device.call)
            for queue, kick in zip(self._queues, kicks, strict=True)
            if queue.live
        ]
        try:
            self.device.activate(self._features, live)
        except (OSError, GuestFault) as fault:
            self._broken(fault)
        for index in range(len(self._queues)):  # what came too early for us to look
            self.device.poke(index)

    def _set_ready(self, queue: QueueSetup, ready: bool) -> None:
        if not ready:
            queue.live = None
            return
        if queue.live is not None or not self._status & FEATURES_OK:
            return
        try:
            if queue.size > queue.most:
                raise GuestFault(f"a queue of {queue.size}, larger than the device has")
            queue.live = Queue(
                self._ram, queue.size, queue.table, queue.avail, queue.used,
                indirect=bool(self._features & INDIRECT_DESC),
                event_index=bool(self._features & EVENT_IDX),
                largest=self.device.largest,
            )  # fmt: skip
        except GuestFault as fault:
            self._broken(fault)

    # Work --------------------------------------------------------------------------------------

    def notified(self, index: int) -> None:
        """The guest has put something into a queue, or the device has something for it."""
        with self._lock:
            if index >= len(self._queues) or self._status & (DRIVER_OK | NEEDS_RESET) != DRIVER_OK:
                return
            queue = self._queues[index].live
            if queue is None:
                return
            try:
                more = self.device.serve(index, queue)
            except GuestFault as fault:
                self._broken(fault)
                return
            self.requests += queue.given_since_told
            if queue.wants_interrupt():
                self.interrupts += 1
                self._line.signal()
        if more:
            self.device.poke(index)

    def _broken(self, fault: Exception) -> None:
        """The driver has broken the rules: nothing is done until it resets the device."""
        self.complaint = str(fault)
        self._status |= NEEDS_RESET
        self._tell_change()

    def config_changed(self) -> None:
        self._generation = (self._generation + 1) & 0xFFFF_FFFF
        self._tell_change()

    def _tell_change(self) -> None:
        with self._telling:
            self._interrupt_status.value |= CONFIG_CHANGE
        self._line.signal()


def _word(features: int, number: int) -> int:
    return features >> 32 * number & 0xFFFF_FFFF if number < 2 else 0
