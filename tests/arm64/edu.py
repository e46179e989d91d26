# SPDX-License-Identifier: Apache-2.0
"""QEMU's teaching device, assigned: it raises its interrupt when it is told to, and copies memory.

Source: QEMU's docs/specs/edu.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from guests import layout
from minivmm.vfio.device import VfioDevice
from minivmm.vfio.dma import Container
from minivmm.vfio.host import HostDevice

from tests.vfio import bound, trust_guests

ID, LIVENESS = 0x00, 0x04
STATUS, RAISE, LOWER = layout.EDU_STATUS, layout.EDU_RAISE, layout.EDU_LOWER
DMA_SOURCE, DMA_TARGET, DMA_COUNT, DMA_COMMAND = 0x80, 0x88, 0x90, 0x98
#: Its own memory, 4 KiB, as its DMA sees it.
BUFFER = 0x40000
START, FROM_DEVICE = 1, 2


class Edu(VfioDevice):
    """The device, in an address space of its own. BAR 0 is ``registers``."""

    def __init__(self, container: Container, host: HostDevice) -> None:
        super().__init__(container.open_device(host))
        self.container, self.host = container, host
        self.bar = self.region(0)
        self.enable()

    def load(self, offset: int, size: int = 4) -> int:
        return self.read(self.bar, offset, size)

    def store(self, offset: int, value: int, size: int = 4) -> None:
        self.write(self.bar, offset, size, value)

    def copy(self, source: int, target: int, size: int, *, from_device: bool) -> None:
        """Has it copy between its buffer and memory; one of the addresses is in the buffer."""
        self.store(DMA_SOURCE, source, 8)
        self.store(DMA_TARGET, target, 8)
        self.store(DMA_COUNT, size, 8)
        self.store(DMA_COMMAND, START | (FROM_DEVICE if from_device else 0), 8)

    @property
    def copies(self) -> bool:
        """Whether a copy is under way."""
        return bool(self.load(DMA_COMMAND, 8) & START)


@contextmanager
def edu() -> Iterator[Edu]:
    trust_guests()
    container = Container()
    try:
        device = Edu(container, HostDevice(bound("edu")))
        try:
            device.store(LOWER, 0xFFFF_FFFF)  # whatever somebody has left up
            yield device
        finally:
            device.close()
    finally:
        container.close()
