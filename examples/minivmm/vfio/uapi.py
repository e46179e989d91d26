# SPDX-License-Identifier: Apache-2.0
"""VFIO's numbers and structures, as include/uapi/linux/vfio.h has them.

They lie beside the example that uses them: pykvm binds /dev/kvm alone, and a VMM that assigns
devices needs a dozen calls that are made once each. So they are Python's ``struct`` and
``fcntl.ioctl``, and nothing has to be compiled. What the compiler would have vouched for, the
project's oracle does: it holds every number, size and offset in here against the kernel's headers
(tests/unit/test_oracle_vfio.py).
"""

from __future__ import annotations

import struct


class Struct:
    """A C structure, from the names of its members and their letters in ``struct``.

    The structures of this interface have no gaps but those that are members themselves, so the
    layout is the plain sum. ``since``: the kernel from which on it has this size.
    """

    def __init__(self, name: str, *, since: tuple[int, int] = (3, 6), **members: str) -> None:
        self.name, self.since, self.members = name, since, members
        self._packed = struct.Struct("=" + "".join(members.values()))
        self.size = self._packed.size

    def pack(self, **values: int) -> bytearray:
        """What is not given is 0, but for the size that the kernel wants to be told."""
        if "argsz" in self.members:
            values.setdefault("argsz", self.size)
        if unknown := values.keys() - self.members.keys():
            raise TypeError(f"struct {self.name} has no {', '.join(unknown)}")
        return bytearray(self._packed.pack(*(values.get(name, 0) for name in self.members)))

    def unpack(self, data: bytes | bytearray, offset: int = 0) -> dict[str, int]:
        values = self._packed.unpack_from(data, offset)
        return dict(zip(self.members, values, strict=True))


VFIO_BASE = 100


def _request(number: int) -> int:
    """Every request is an _IO(): no size is part of it, so structures may grow."""
    return ord(";") << 8 | VFIO_BASE + number


# A container: an IOMMU's address space, and the groups of devices in it.
VFIO_GET_API_VERSION = _request(0)
VFIO_CHECK_EXTENSION = _request(1)
VFIO_SET_IOMMU = _request(2)
VFIO_IOMMU_GET_INFO = _request(12)
VFIO_IOMMU_MAP_DMA = _request(13)
VFIO_IOMMU_UNMAP_DMA = _request(14)
VFIO_API_VERSION = 0
VFIO_TYPE1v2_IOMMU = 3

VFIO_IOMMU_INFO_PGSIZES = 1
VFIO_IOMMU_INFO_CAPS = 2
VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1
IOMMU_INFO = Struct(
    "vfio_iommu_type1_info", since=(6, 6),
    argsz="I", flags="I", iova_pgsizes="Q", cap_offset="I", pad="I",
)  # fmt: skip
CAP_HEADER = Struct("vfio_info_cap_header", id="H", version="H", next="I")
#: Behind a CAP_HEADER; so many ranges follow. ``end`` is the last address.
IOVA_RANGES = Struct(
    "vfio_iommu_type1_info_cap_iova_range", header="8s", nr_iovas="I", reserved="I"
)
IOVA_RANGE = Struct("vfio_iova_range", start="Q", end="Q")

VFIO_DMA_MAP_FLAG_READ = 1
VFIO_DMA_MAP_FLAG_WRITE = 2
DMA_MAP = Struct("vfio_iommu_type1_dma_map", argsz="I", flags="I", vaddr="Q", iova="Q", size="Q")
DMA_UNMAP = Struct("vfio_iommu_type1_dma_unmap", argsz="I", flags="I", iova="Q", size="Q")

# A group: devices that the IOMMU cannot keep apart.
VFIO_GROUP_GET_STATUS = _request(3)
VFIO_GROUP_SET_CONTAINER = _request(4)
VFIO_GROUP_UNSET_CONTAINER = _request(5)
VFIO_GROUP_GET_DEVICE_FD = _request(6)
VFIO_GROUP_FLAGS_VIABLE = 1
GROUP_STATUS = Struct("vfio_group_status", argsz="I", flags="I")

# A device.
VFIO_DEVICE_GET_INFO = _request(7)
VFIO_DEVICE_GET_REGION_INFO = _request(8)
VFIO_DEVICE_GET_IRQ_INFO = _request(9)
VFIO_DEVICE_SET_IRQS = _request(10)
VFIO_DEVICE_RESET = _request(11)
VFIO_DEVICE_FLAGS_RESET = 1
VFIO_DEVICE_FLAGS_PCI = 2
DEVICE_INFO = Struct(
    "vfio_device_info", since=(6, 6),
    argsz="I", flags="I", num_regions="I", num_irqs="I", cap_offset="I", pad="I",
)  # fmt: skip

VFIO_PCI_BAR0_REGION_INDEX = 0
VFIO_PCI_BAR5_REGION_INDEX = 5
VFIO_PCI_CONFIG_REGION_INDEX = 7
VFIO_REGION_INFO_FLAG_READ = 1
VFIO_REGION_INFO_FLAG_WRITE = 2
VFIO_REGION_INFO_FLAG_MMAP = 4
VFIO_REGION_INFO_FLAG_CAPS = 8
VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1
REGION_INFO = Struct(
    "vfio_region_info",
    argsz="I", flags="I", index="I", cap_offset="I", size="Q", offset="Q",
)  # fmt: skip
SPARSE_MMAP = Struct("vfio_region_info_cap_sparse_mmap", header="8s", nr_areas="I", reserved="I")
SPARSE_AREA = Struct("vfio_region_sparse_mmap_area", offset="Q", size="Q")

VFIO_PCI_INTX_IRQ_INDEX = 0
VFIO_PCI_MSI_IRQ_INDEX = 1
VFIO_PCI_MSIX_IRQ_INDEX = 2
VFIO_IRQ_INFO_EVENTFD = 1
VFIO_IRQ_INFO_MASKABLE = 2
VFIO_IRQ_INFO_AUTOMASKED = 4
VFIO_IRQ_INFO_NORESIZE = 8
IRQ_INFO = Struct("vfio_irq_info", argsz="I", flags="I", index="I", count="I")
VFIO_IRQ_SET_DATA_NONE = 1
VFIO_IRQ_SET_DATA_BOOL = 2
VFIO_IRQ_SET_DATA_EVENTFD = 4
VFIO_IRQ_SET_ACTION_MASK = 8
VFIO_IRQ_SET_ACTION_UNMASK = 16
VFIO_IRQ_SET_ACTION_TRIGGER = 32
#: The eventfds, or whatever ``flags`` says, follow.
IRQ_SET = Struct("vfio_irq_set", argsz="I", flags="I", index="I", start="I", count="I")
