# SPDX-License-Identifier: Apache-2.0
"""A console: bytes out, bytes in. Source: VIRTIO 1.2, section 5.3."""

from __future__ import annotations

from collections.abc import Callable

from minivmm.virtio.device import Device, serve_each
from minivmm.virtio.queue import Chain, Queue

RECEIVE, TRANSMIT = 0, 1
_ROOM = 4096


class Console(Device):
    """``send`` takes what the guest prints; ``wants_more`` is called when input was taken."""

    number = 3
    queue_sizes = (64, 64)

    def __init__(
        self,
        send: Callable[[memoryview], None],
        wants_more: Callable[[], None] = lambda: None,
    ) -> None:
        self._send = send
        self._wants_more = wants_more
        self._input = bytearray()

    def serve(self, index: int, queue: Queue) -> bool:
        return serve_each(queue, self._print) if index == TRANSMIT else self._deliver(queue)

    def _print(self, chain: Chain) -> int:
        for view in chain.readable:
            self._send(view)
        return 0

    def _deliver(self, queue: Queue) -> bool:
        """What was typed, into buffers that the guest has lain ready; the rest waits for more."""
        for _ in range(queue.size):
            if not self._input:
                break
            chain = queue.pop()
            if chain is None:
                if not queue.want_notice():
                    return False
                continue
            done = chain.fill(bytes(self._input))
            del self._input[:done]
            queue.push(chain, done)
        if self._input:
            return True
        self._wants_more()
        return False

    @property
    def room(self) -> int:
        """How many bytes of input there is place for."""
        return _ROOM - len(self._input)

    def receive(self, data: bytes) -> None:
        """Somebody types; at most ``room`` bytes."""
        self._input += data
        self.poke(RECEIVE)

    def reset(self) -> None:
        self._input.clear()
