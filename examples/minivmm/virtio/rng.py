# SPDX-License-Identifier: Apache-2.0
"""Random numbers for the guest. Source: VIRTIO 1.2, section 5.4."""

from __future__ import annotations

import os

from minivmm.virtio.device import Device, serve_each
from minivmm.virtio.queue import Chain, Queue


class Rng(Device):
    number = 4
    queue_sizes = (64,)

    def serve(self, index: int, queue: Queue) -> bool:
        return serve_each(queue, self._fill)

    def _fill(self, chain: Chain) -> int:
        return chain.fill(os.urandom(sum(map(len, chain.writable))))
