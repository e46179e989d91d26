# SPDX-License-Identifier: Apache-2.0
"""What a device's DMA finds: an IOMMU's address space, and the groups of devices in it."""

from __future__ import annotations

import errno as e
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from minivmm.endings import BadInput
from minivmm.vfio import uapi
from minivmm.vfio.host import HostDevice, users
from pykvm import GuestMemory, KvmError

_NODES = Path("/dev/vfio")
_ROOM = 4096  # for structures that answer with lists
_HINTS = {
    ("VFIO_SET_IOMMU", e.EPERM): (
        "This host's interrupt controller does not keep message-signalled interrupts of devices "
        "apart (a GICv2 does not): the guest's device could send any interrupt to the host. Where "
        "the guest is trusted, as root: echo 1 > "
        "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
    ),
    ("VFIO_SET_IOMMU", e.ENODEV): "The module vfio_iommu_type1 is missing: modprobe it as root.",
    ("VFIO_GROUP_GET_DEVICE_FD", e.ENODEV): "No device of that address is in this group.",
}


def vfio_call(fd: int, name: str, data: bytearray | int = 0, **shown: object) -> int:
    """One call of VFIO's. KvmError, which also says what it means."""
    try:
        return fcntl.ioctl(fd, getattr(uapi, name), data)
    except OSError as refusal:
        number = refusal.errno or 0
        raise KvmError(number, name, shown, _HINTS.get((name, number), "")) from None


def capabilities(data: bytearray, offset: int) -> Iterator[tuple[int, int]]:
    """The chain of capabilities behind an answer: each one's id, and where it lies."""
    while offset:
        header = uapi.CAP_HEADER.unpack(data, offset)
        yield header["id"], offset
        offset = header["next"]


class Container:
    """An address space for the DMA of one guest's devices: IOVAs are guest physical addresses.

    While it is open, what was mapped is pinned: it stays in the host's memory.
    """

    def __init__(self) -> None:
        self._groups: dict[int, int] = {}
        self._ranges: list[range] = []
        self._reserved: list[tuple[range, str]] = []
        self._fd = _open(_NODES / "vfio", "is the module vfio loaded? As root: modprobe vfio-pci")
        version = vfio_call(self._fd, "VFIO_GET_API_VERSION")
        if version != uapi.VFIO_API_VERSION:
            raise BadInput(f"this host's VFIO speaks version {version} of its interface, not 0")

    def open_device(self, host: HostDevice) -> int:
        """The descriptor of a device, whose group comes into this address space with it."""
        host.check_bound()
        assert host.group is not None
        if host.group not in self._groups:
            self._groups[host.group] = self._join(host)
            self._reserved += host.reserved()
        name = bytearray(host.address.encode() + b"\0")
        group = self._groups[host.group]
        return vfio_call(group, "VFIO_GROUP_GET_DEVICE_FD", name, device=host.address)

    def _join(self, host: HostDevice) -> int:
        node = _NODES / str(host.group)
        fd = _open(node, f"{host.address} has just left vfio-pci, or udev is slow")
        try:
            status = uapi.GROUP_STATUS.pack()
            vfio_call(fd, "VFIO_GROUP_GET_STATUS", status, group=host.group)
            if not uapi.GROUP_STATUS.unpack(status)["flags"] & uapi.VFIO_GROUP_FLAGS_VIABLE:
                raise BadInput(
                    f"--device {host.address}: its IOMMU group {host.group} is not viable. The "
                    f"IOMMU cannot keep its devices apart, and the host's own drivers still have "
                    f"{', '.join(host.strangers())}: unbind those first, or bind them to vfio-pci"
                )
            container = bytearray(struct.pack("i", self._fd))
            vfio_call(fd, "VFIO_GROUP_SET_CONTAINER", container, group=host.group)
            if not self._groups:  # an IOMMU can be chosen once a device is there
                vfio_call(self._fd, "VFIO_SET_IOMMU", uapi.VFIO_TYPE1v2_IOMMU, iommu="type1v2")
        except BaseException:
            os.close(fd)
            raise
        self._ranges = self._read_ranges()
        return fd

    def _read_ranges(self) -> list[range]:
        """The IOVAs that can be mapped."""
        info = uapi.IOMMU_INFO.pack(argsz=_ROOM).ljust(_ROOM, b"\0")
        vfio_call(self._fd, "VFIO_IOMMU_GET_INFO", info)
        told = uapi.IOMMU_INFO.unpack(info)
        found: list[range] = []
        if told["flags"] & uapi.VFIO_IOMMU_INFO_CAPS:
            for kind, offset in capabilities(info, told["cap_offset"]):
                if kind == uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE:
                    found += _iova_ranges(info, offset)
        return found

    def map(self, gpa: int, memory: GuestMemory) -> None:
        """Devices find ``memory`` at ``gpa``, as the guest's CPUs do. It is pinned from now on."""
        wanted = range(gpa, gpa + memory.size)
        for taken, kind in self._reserved:
            if taken.start < wanted.stop and wanted.start < taken.stop:
                what = "messages of interrupts go" if "msi" in kind else f"is reserved ({kind})"
                raise BadInput(
                    f"memory at {_shown(wanted)} overlaps {_shown(taken)}, where for this host's "
                    f"IOMMU {what}: devices could not reach it. Put the guest's memory elsewhere"
                )
        if self._ranges and not any(_within(wanted, each) for each in self._ranges):
            there = ", ".join(map(_shown, self._ranges))
            raise BadInput(f"memory at {_shown(wanted)}: this host's IOMMU translates {there} only")
        flags = uapi.VFIO_DMA_MAP_FLAG_READ | uapi.VFIO_DMA_MAP_FLAG_WRITE
        words = uapi.DMA_MAP.pack(flags=flags, vaddr=memory.hva, iova=gpa, size=memory.size)
        try:
            vfio_call(self._fd, "VFIO_IOMMU_MAP_DMA", words, iova=hex(gpa), size=memory.size)
        except KvmError as refusal:
            if refusal.errno != e.ENOMEM:
                raise
            raise KvmError(e.ENOMEM, refusal.ioctl, refusal.arguments, _limit(memory)) from None

    def unmap(self, gpa: int, size: int) -> None:
        """Devices find nothing there any more; the memory is no longer pinned."""
        words = uapi.DMA_UNMAP.pack(iova=gpa, size=size)
        vfio_call(self._fd, "VFIO_IOMMU_UNMAP_DMA", words, iova=hex(gpa), size=size)

    def close(self) -> None:
        """Once the devices are closed: ends all mappings."""
        for fd in self._groups.values():
            os.close(fd)
        self._groups.clear()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _open(node: Path, missing: str) -> int:
    try:
        return os.open(node, os.O_RDWR | os.O_CLOEXEC)
    except OSError as failure:
        hint = ""
        match failure.errno:
            case e.ENOENT:
                hint = missing
            case e.EACCES:
                hint = f"this user may not; as root: chown {os.getuid()} {node}"
            case e.EBUSY:
                who = ", ".join(users(node)) or "another program"
                hint = f"a group has one user at a time, and this one has {who}"
        raise KvmError(failure.errno or 0, "open", {"node": str(node)}, hint) from None


def _limit(memory: GuestMemory) -> str:
    import resource  # only for those who need the advice

    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return (
        f"All memory that devices can reach is pinned, {memory.size >> 10} KiB here, and this "
        f"process may lock {limit >> 10} KiB (RLIMIT_MEMLOCK). Raise it to "
        f"{(memory.size >> 10) + 1024} KiB or more (ulimit -l, limits.conf, LimitMEMLOCK=), give "
        f"the guest less memory, or run as root."
    )


def _iova_ranges(info: bytearray, offset: int) -> Iterable[range]:
    count = uapi.IOVA_RANGES.unpack(info, offset)["nr_iovas"]
    for number in range(count):
        at = offset + uapi.IOVA_RANGES.size + number * uapi.IOVA_RANGE.size
        told = uapi.IOVA_RANGE.unpack(info, at)
        yield range(told["start"], told["end"] + 1)


def _within(inner: range, outer: range) -> bool:
    return outer.start <= inner.start and inner.stop <= outer.stop


def _shown(span: range) -> str:
    return f"{span.start:#x}-{span.stop - 1:#x}"
