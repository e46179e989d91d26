# SPDX-License-Identifier: Apache-2.0
"""What a virtio device has to bring; ``transport`` does the rest."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from minivmm.virtio.queue import Queue

if TYPE_CHECKING:
    from minivmm.virtio.vhost import Vhost

KIB = 1 << 10
#: Seconds of work at once, at most: a reset and the program's end come in between, interrupts too.
_TURN = 0.1


class LiveQueue(NamedTuple):
    """A queue as vhost is told of it: where its parts lie, and the two eventfds."""

    size: int
    table: int
    avail: int
    used: int
    kick: int
    call: int


class Device(ABC):
    """A device model. It knows queues and memory, nothing of registers, interrupts or KVM."""

    #: Virtio's number of this kind of device.
    number: int
    #: The most descriptors of each queue, a power of two.
    queue_sizes: Sequence[int]
    #: Feature bits of its own; the transport adds those of queues.
    features: int = 0
    #: No request is larger, in bytes.
    largest: int = 64 * KIB

    #: The kernel's server of the queues, where there is one: then serve() is never called.
    vhost: Vhost | None = None
    #: Eventfds, by number: what the guest's notification of each queue signals, and what raises the
    #: interrupt. For those who let the kernel serve the queues.
    kicks: Sequence[int] = ()
    call: int = -1
    #: Has something for a queue that the guest did not ask for just now (input). Set by the
    #: transport; any thread.
    poke: Callable[[int], None] = staticmethod(lambda _: None)

    def config(self) -> bytes:
        """The configuration space, as the guest reads it."""
        return b""

    def write_config(self, offset: int, data: bytes) -> None:
        """The guest stores to the configuration space."""

    @abstractmethod
    def serve(self, index: int, queue: Queue) -> bool:
        """Does what there is to do in a queue; True: there is more, call again soon.

        It does no more than ``queue.size`` requests at once: whoever fills a queue for ever must
        not keep others from being served.
        """

    def activate(self, features: int, queues: Sequence[LiveQueue]) -> None:
        """The driver is ready, and has chosen these features. OSError: it cannot be."""

    def reset(self) -> None:
        """Back to what it was at first. No call is under way, and queues are gone."""

    def close(self) -> None:
        """The VM is gone. Nothing is called any more."""


def serve_each(queue: Queue, work: Callable[..., int]) -> bool:
    """The usual ``serve()``: ``work`` does one chain and returns how many bytes it has written."""
    queue.want_no_notice()
    end = time.monotonic() + _TURN
    for _ in range(queue.size):
        chain = queue.pop()
        if chain is None:
            return queue.want_notice()
        queue.push(chain, work(chain))
        if time.monotonic() > end:
            break
    return True
