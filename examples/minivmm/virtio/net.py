# SPDX-License-Identifier: Apache-2.0
"""A network card on a tap device. Source: VIRTIO 1.2, section 5.1.

Either the kernel moves the packets (vhost-net), or this does, one packet for each call. The header
that virtio puts before each frame is the tap's own: a packet goes between the tap and the guest's
memory as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from minivmm.endings import GuestFault
from minivmm.events import EventLoop
from minivmm.virtio.device import Device, LiveQueue, serve_each
from minivmm.virtio.queue import Chain, Queue
from minivmm.virtio.tap import HEADER, OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, Tap
from minivmm.virtio.vhost import Vhost

RECEIVE, TRANSMIT = 0, 1
CSUM, GUEST_CSUM, MAC = 1 << 0, 1 << 1, 1 << 5
GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6 = 1 << 7, 1 << 8, 1 << 11, 1 << 12
MRG_RXBUF = 1 << 15
#: What a tap does for us in both directions: frames without checksum, or to be cut.
_SENDS = CSUM | HOST_TSO4 | HOST_TSO6
_RECEIVES = GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6
_NUM_BUFFERS = slice(10, 12)


class Net(Device):
    """``loop`` is where packets are waited for; ``vhost``, if given, does it all instead."""

    number = 1
    queue_sizes = (256, 256)
    largest = 256 << 10

    def __init__(self, tap: Tap, mac: bytes, loop: EventLoop, vhost: Vhost | None = None) -> None:
        self._tap, self._mac, self._loop, self.vhost = tap, mac, loop, vhost
        # Frames that come in parts over several buffers (MRG_RXBUF) are left to vhost.
        self.features = MAC | _SENDS | _RECEIVES | (MRG_RXBUF if vhost else 0)
        self._watched = False

    def config(self) -> bytes:
        return self._mac

    def activate(self, features: int, queues: Sequence[LiveQueue]) -> None:
        offload = OFFLOAD_CSUM if features & GUEST_CSUM else 0
        offload |= OFFLOAD_TSO4 if features & GUEST_TSO4 else 0
        offload |= OFFLOAD_TSO6 if features & GUEST_TSO6 else 0
        self._tap.offload(offload)
        if self.vhost:
            if len(queues) < 2:
                raise GuestFault("a driver without both queues")
            self.vhost.start(features, queues)
            for index in (RECEIVE, TRANSMIT):
                self.vhost.set_backend(index, self._tap.fileno())

    def serve(self, index: int, queue: Queue) -> bool:
        return serve_each(queue, self._send) if index == TRANSMIT else self._receive(queue)

    def _send(self, chain: Chain) -> int:
        with suppress(OSError):  # the tap is down or the frame is none: lost, as on any wire
            os.writev(self._tap.fileno(), chain.readable)
        return 0

    def _receive(self, queue: Queue) -> bool:
        """Packets into buffers, as long as there are both; then whichever lacks is waited for."""
        for _ in range(queue.size):
            chain = queue.peek()
            if chain is not None and not chain.writable:
                raise GuestFault("a buffer for packets that cannot be written")
            if chain is None:
                if queue.want_notice():
                    continue
                self._watch(False)
                return False
            try:
                size = os.readv(self._tap.fileno(), chain.writable)
            except BlockingIOError:
                self._watch(True)
                return False
            except OSError:
                return False
            queue.accept()
            if len(chain.writable[0]) >= HEADER:
                chain.writable[0][_NUM_BUFFERS] = b"\1\0"
            else:
                _put_num_buffers(chain)
            queue.push(chain, size)
        return True

    def _watch(self, on: bool) -> None:
        if on and not self._watched:
            # By its edges: a queue that takes none, or a tap that is gone, wakes nobody again.
            self._loop.watch(self._tap, lambda: self.poke(RECEIVE))
        elif self._watched and not on:
            self._loop.unwatch(self._tap)
        self._watched = on

    def reset(self) -> None:
        if self.vhost:
            self.vhost.stop()
        self._watch(False)

    def close(self) -> None:
        if self.vhost:  # its loop, where packets were waited for, is gone already
            self.vhost.stop()
            self.vhost.close()


def _put_num_buffers(chain: Chain) -> None:
    """1, in the last two bytes of a header that the guest has cut in pieces."""
    start, (first, end) = 0, (_NUM_BUFFERS.start, _NUM_BUFFERS.stop)
    for view in chain.writable:
        for at in range(max(0, first - start), min(len(view), end - start)):
            view[at] = start + at == first
        start += len(view)
