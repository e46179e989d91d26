# SPDX-License-Identifier: Apache-2.0
"""vhost: the host's kernel serves the queues. Packets never pass through Python.

It is told where the guest's memory is, where the rings are, and two eventfds for each queue: the
ioeventfd that the guest's notification signals, and the irqfd's, which it signals itself.
Source: include/uapi/linux/vhost.h.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence

from minivmm.endings import BadInput
from minivmm.ram import Ram
from minivmm.virtio.device import LiveQueue


def _code(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | 0xAF << 8 | number


_NONE, _WRITE, _READ = 0, 1, 2
_GET_FEATURES, _SET_FEATURES = _code(_READ, 0x00, 8), _code(_WRITE, 0x00, 8)
_SET_OWNER, _RESET_OWNER = _code(_NONE, 0x01, 0), _code(_NONE, 0x02, 0)
_SET_MEM_TABLE = _code(_WRITE, 0x03, 8)
_SET_VRING_NUM, _SET_VRING_ADDR = _code(_WRITE, 0x10, 8), _code(_WRITE, 0x11, 40)
_SET_VRING_BASE = _code(_WRITE, 0x12, 8)
_SET_VRING_KICK, _SET_VRING_CALL = _code(_WRITE, 0x20, 8), _code(_WRITE, 0x21, 8)
_NET_SET_BACKEND = _code(_WRITE, 0x30, 8)
VSOCK_SET_GUEST_CID, VSOCK_SET_RUNNING = _code(_WRITE, 0x60, 8), _code(_WRITE, 0x61, 4)


class Vhost:
    """One of /dev/vhost-*. It serves the first ``queues`` queues of a device, once started."""

    def __init__(self, node: str, ram: Ram) -> None:
        try:
            self._fd = os.open(node, os.O_RDWR | os.O_CLOEXEC)
        except OSError as failure:
            raise BadInput(f"{node}: {failure.strerror}") from None
        self._ram = ram
        try:
            told = fcntl.ioctl(self._fd, _GET_FEATURES, bytes(8))
            self._do(_SET_OWNER)
        except OSError as failure:
            os.close(self._fd)
            raise BadInput(f"{node}: {failure.strerror}") from None
        self.features: int = struct.unpack("Q", told)[0]
        self._backends: list[int] = []

    def _do(self, request: int, data: bytes = b"") -> None:
        fcntl.ioctl(self._fd, request, data or 0)

    def start(self, features: int, queues: Sequence[LiveQueue]) -> None:
        self._do(_SET_FEATURES, struct.pack("Q", features & self.features))
        base = self._ram.hva
        region = struct.pack("4Q", self._ram.start, self._ram.size, base, 0)
        self._do(_SET_MEM_TABLE, struct.pack("I4x", 1) + region)
        for index, queue in enumerate(queues):
            hva = [gpa - self._ram.start + base for gpa in (queue.table, queue.used, queue.avail)]
            self._do(_SET_VRING_NUM, struct.pack("II", index, queue.size))
            self._do(_SET_VRING_BASE, struct.pack("II", index, 0))
            self._do(_SET_VRING_ADDR, struct.pack("II4Q", index, 0, *hva, 0))
            self._do(_SET_VRING_KICK, struct.pack("Ii", index, queue.kick))
            self._do(_SET_VRING_CALL, struct.pack("Ii", index, queue.call))

    def set_backend(self, index: int, fd: int) -> None:
        self._do(_NET_SET_BACKEND, struct.pack("Ii", index, fd))
        self._backends.append(index)

    def do(self, request: int, data: bytes) -> None:
        """A call of one kind of vhost."""
        self._do(request, data)

    def stop(self) -> None:
        """It lets go of the rings. Returns when nothing is under way any more."""
        while self._backends:
            self._do(_NET_SET_BACKEND, struct.pack("Ii", self._backends.pop(), -1))

    def close(self) -> None:
        os.close(self._fd)
