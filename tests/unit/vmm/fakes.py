# SPDX-License-Identifier: Apache-2.0
"""Interrupt lines for device models without a VM, and a wire without a network."""

from __future__ import annotations

import socket

from minivmm.virtio.tap import Tap


class FakeLevel:
    level = False

    def set_level(self, level: bool) -> None:
        self.level = level


class FakeEdge:
    signals = 0

    def signal(self) -> None:
        self.signals += 1


class FakeTap(Tap):
    """Passes packets to ``wire`` and back, as a tap does to the network."""

    def __init__(self) -> None:
        self.name = "fake"
        self._ours, self.wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ours.setblocking(False)
        self.wire.setblocking(False)
        self._fd = self._ours.fileno()
        self.offloads = -1

    def offload(self, flags: int) -> None:
        self.offloads = flags

    def close(self) -> None:
        self._ours.close()
        self.wire.close()
