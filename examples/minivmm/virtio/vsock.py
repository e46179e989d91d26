# SPDX-License-Identifier: Apache-2.0
"""Sockets between guest and host (AF_VSOCK), served by the kernel's vhost-vsock.

Source: VIRTIO 1.2, section 5.10.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

from minivmm.endings import BadInput, GuestFault
from minivmm.virtio.device import Device, LiveQueue
from minivmm.virtio.queue import Queue
from minivmm.virtio.vhost import VSOCK_SET_GUEST_CID, VSOCK_SET_RUNNING, Vhost


class Vsock(Device):
    """``cid`` is the guest's address, 3 or more; the host's is 2."""

    number = 19
    queue_sizes = (128, 128, 128)

    def __init__(self, cid: int, vhost: Vhost) -> None:
        self._cid = cid
        self.vhost = self._vhost = vhost
        try:
            vhost.do(VSOCK_SET_GUEST_CID, struct.pack("Q", cid))
        except OSError as failure:
            busy = failure.errno == errno.EADDRINUSE
            words = "another guest has it" if busy else failure.strerror
            raise BadInput(f"vsock address {cid}: {words}") from None

    def config(self) -> bytes:
        return struct.pack("<Q", self._cid)

    def activate(self, features: int, queues: Sequence[LiveQueue]) -> None:
        if len(queues) < 2:
            raise GuestFault("a driver without the queues for packets")
        self._vhost.start(features, queues[:2])  # the third one tells of events that we have not
        self._vhost.do(VSOCK_SET_RUNNING, struct.pack("i", 1))

    def serve(self, index: int, queue: Queue) -> bool:
        return False

    def reset(self) -> None:
        self._vhost.do(VSOCK_SET_RUNNING, struct.pack("i", 0))

    def close(self) -> None:
        self._vhost.close()
