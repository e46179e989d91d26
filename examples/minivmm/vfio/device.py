# SPDX-License-Identifier: Apache-2.0
"""A device as VFIO shows it: its registers, its configuration space, its interrupts."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from minivmm.vfio import uapi
from minivmm.vfio.dma import capabilities, vfio_call
from pykvm import GuestMemory

_ROOM = 4096
#: In the configuration space.
COMMAND, STATUS, CAPABILITIES = 0x04, 0x06, 0x34
HAS_CAPABILITIES = 0x10
MEMORY_ON, BUS_MASTER_ON, INTX_OFF = 0x2, 0x4, 0x400
INTX, MSI, MSIX = (
    uapi.VFIO_PCI_INTX_IRQ_INDEX,
    uapi.VFIO_PCI_MSI_IRQ_INDEX,
    uapi.VFIO_PCI_MSIX_IRQ_INDEX,
)


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Region(NamedTuple):
    """One of its address spaces, as a BAR; ``offset``: where it lies in the device's file.

    ``areas``: what of it can be mapped, in bytes from its start.
    """

    size: int
    offset: int
    areas: tuple[range, ...]


class VfioDevice:
    """A device of this host that nobody but us drives. ``fd`` is closed with it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        info = uapi.DEVICE_INFO.pack()
        vfio_call(fd, "VFIO_DEVICE_GET_INFO", info)
        told = uapi.DEVICE_INFO.unpack(info)
        self.can_reset = bool(told["flags"] & uapi.VFIO_DEVICE_FLAGS_RESET)
        self._config = self.region(uapi.VFIO_PCI_CONFIG_REGION_INDEX)
        self._on: set[int] = set()

    def fileno(self) -> int:
        return self._fd

    # Registers ---------------------------------------------------------------------------------

    def region(self, index: int) -> Region:
        info = uapi.REGION_INFO.pack(argsz=_ROOM, index=index).ljust(_ROOM, b"\0")
        vfio_call(self._fd, "VFIO_DEVICE_GET_REGION_INFO", info, index=index)
        told = uapi.REGION_INFO.unpack(info)
        areas: tuple[range, ...] = ()
        if told["flags"] & uapi.VFIO_REGION_INFO_FLAG_MMAP:
            areas = (range(told["size"]),)
            if told["flags"] & uapi.VFIO_REGION_INFO_FLAG_CAPS:
                areas = _sparse(info, told["cap_offset"]) or areas
        return Region(told["size"], told["offset"], areas)

    def map(self, region: Region, area: range) -> GuestMemory:
        """Registers themselves, as memory for a slot. The mapping keeps the device open."""
        return GuestMemory.device(self._fd, region.offset + area.start, len(area))

    def read(self, region: Region, offset: int, size: int) -> int:
        return int.from_bytes(os.pread(self._fd, size, region.offset + offset), "little")

    def write(self, region: Region, offset: int, size: int, value: int) -> None:
        os.pwrite(self._fd, value.to_bytes(size, "little"), region.offset + offset)

    # The configuration space, which a guest without PCI cannot reach --------------------------

    def read_config(self, offset: int, size: int) -> int:
        return self.read(self._config, offset, size)

    def enable(self, *, bus_master: bool = True) -> None:
        """It answers at its registers, may do DMA, and may raise its interrupt line."""
        command = self.read_config(COMMAND, 2) | MEMORY_ON | BUS_MASTER_ON
        command &= ~(INTX_OFF if bus_master else INTX_OFF | BUS_MASTER_ON)
        self.write(self._config, COMMAND, 2, command)

    def reset(self) -> bool:
        """The state of power-on; False where the device has no way of its own to get there."""
        if self.can_reset:
            vfio_call(self._fd, "VFIO_DEVICE_RESET")
        return self.can_reset

    # Interrupts --------------------------------------------------------------------------------

    def irq_count(self, index: int) -> int:
        """How many interrupts of a kind it has: of INTX, MSI or MSIX."""
        info = uapi.IRQ_INFO.pack(index=index)
        vfio_call(self._fd, "VFIO_DEVICE_GET_IRQ_INFO", info, index=index)
        return uapi.IRQ_INFO.unpack(info)["count"]

    def set_triggers(self, index: int, eventfds: Sequence[HasFileno]) -> None:
        """From now on the kernel signals these, one for each interrupt of the kind.

        A device has one kind at a time: MSIs switch its line off.
        """
        self._set_irqs(index, uapi.VFIO_IRQ_SET_ACTION_TRIGGER, eventfds)
        self._on.add(index)

    def set_unmask(self, eventfd: HasFileno) -> None:
        """A signal of this one unmasks the line, in the kernel; if it is still up, it fires again.

        VFIO masks the line as it signals the trigger: it cannot know who makes the device lower it.
        """
        self._set_irqs(INTX, uapi.VFIO_IRQ_SET_ACTION_UNMASK, [eventfd])

    def mask(self) -> None:
        """The line is not listened to, until unmask()."""
        self._act(INTX, uapi.VFIO_IRQ_SET_ACTION_MASK)

    def unmask(self) -> None:
        """The same as a signal of set_unmask()'s eventfd."""
        self._act(INTX, uapi.VFIO_IRQ_SET_ACTION_UNMASK)

    def trigger(self, index: int, number: int = 0) -> None:
        """Signals as if the device had raised this interrupt."""
        self._act(index, uapi.VFIO_IRQ_SET_ACTION_TRIGGER, number)

    def release(self, index: int) -> None:
        """No interrupt of the kind is wanted any more."""
        if index in self._on:
            self._act(index, uapi.VFIO_IRQ_SET_ACTION_TRIGGER, count=0)
            self._on.discard(index)

    def _act(self, index: int, action: int, start: int = 0, count: int = 1) -> None:
        flags = uapi.VFIO_IRQ_SET_DATA_NONE | action
        words = uapi.IRQ_SET.pack(flags=flags, index=index, start=start, count=count)
        self._irqs_call(words, index, flags, count)

    def _set_irqs(self, index: int, action: int, eventfds: Sequence[HasFileno]) -> None:
        flags = uapi.VFIO_IRQ_SET_DATA_EVENTFD | action
        fds = struct.pack(f"{len(eventfds)}i", *(eventfd.fileno() for eventfd in eventfds))
        size = uapi.IRQ_SET.size + len(fds)
        words = uapi.IRQ_SET.pack(argsz=size, flags=flags, index=index, count=len(eventfds))
        self._irqs_call(words + fds, index, flags, len(eventfds))

    def _irqs_call(self, words: bytearray, index: int, flags: int, count: int) -> None:
        shown = {"index": index, "flags": flags, "count": count}
        vfio_call(self._fd, "VFIO_DEVICE_SET_IRQS", words, **shown)

    def close(self) -> None:
        """Its interrupts are off, and it does no DMA any more. Others may have it."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _sparse(info: bytearray, offset: int) -> tuple[range, ...]:
    """The parts of a region that can be mapped, where that is not the whole of it."""
    found = []
    for kind, at in capabilities(info, offset):
        if kind != uapi.VFIO_REGION_INFO_CAP_SPARSE_MMAP:
            continue
        for number in range(uapi.SPARSE_MMAP.unpack(info, at)["nr_areas"]):
            where = at + uapi.SPARSE_MMAP.size + number * uapi.SPARSE_AREA.size
            told = uapi.SPARSE_AREA.unpack(info, where)
            found.append(range(told["offset"], told["offset"] + told["size"]))
    return tuple(found)
