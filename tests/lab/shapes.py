# SPDX-License-Identifier: Apache-2.0
"""The shape of an emulated host: everything about it that an option can change."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

from tests.lab.errors import UsageError

_SIZE = re.compile(r"(\d+)([MG])", re.IGNORECASE)


def size_of(text: str) -> int:
    """``512M`` or ``2G`` in bytes."""
    found = _SIZE.fullmatch(text)
    assert found
    return int(found[1]) << {"M": 20, "G": 30}[found[2].upper()]


@dataclass(frozen=True)
class Shape:
    """An emulated arm64 host. Two equal shapes may share a snapshot."""

    kernel: str = "6.12"
    page_size: str = "4k"
    cpu: str = "neoverse-n1"
    gic: int = 3
    smp: int = 2
    memory: str = "2G"
    qemu: str = "distro"
    machine_options: tuple[str, ...] = ()
    append: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    disks: tuple[Path, ...] = ()
    devices: tuple[str, ...] = ()
    drives: tuple[str, ...] = ()
    icount: bool = False
    cold: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"newest|\d+\.\d+\S*", self.kernel):
            raise UsageError(f"--kernel {self.kernel}: give X.Y, as 6.12, or newest.")
        if self.page_size not in ("4k", "16k"):
            raise UsageError(f"--page-size {self.page_size}: Debian has kernels with 4k and 16k.")
        if self.gic not in (2, 3):
            raise UsageError(f"--gic {self.gic}: QEMU has a GIC of version 2 or 3 for a KVM host.")
        if self.gic == 2 and self.smp > 8:
            raise UsageError(f"--smp {self.smp}: a GICv2 serves at most 8 CPUs.")
        if self.smp < 1:
            raise UsageError(f"--smp {self.smp}: at least one CPU is needed.")
        if not _SIZE.fullmatch(self.memory):
            raise UsageError(f"--memory {self.memory}: give a size such as 512M or 2G.")
        if self.memory_bytes < 512 << 20:
            raise UsageError(f"--memory {self.memory}: the host itself needs 512M.")
        if self.icount and self.smp != 1:
            raise UsageError(f"--icount counts one CPU's instructions: --smp {self.smp} cannot be.")
        for drive in self.drives:
            if not _SIZE.fullmatch(drive):
                raise UsageError(f"--drive {drive}: give a size such as 16M.")

    @property
    def memory_bytes(self) -> int:
        """The memory's size in bytes."""
        return size_of(self.memory)

    @property
    def boots_cold(self) -> bool:
        """Whether a snapshot is not wanted, or cannot hold it: counted time, things outside."""
        return self.cold or self.icount or bool(self.disks or self.devices or self.drives)

    @property
    def cpu_words(self) -> str:
        """QEMU's -cpu value."""
        # QEMU computes `max`'s default pointer authentication with QARMA5: six times slower in all.
        if self.cpu.split(",")[0] == "max" and "pauth" not in self.cpu:
            return f"{self.cpu},pauth-impdef=on"
        return self.cpu

    def __str__(self) -> str:
        parts = [f"{self.cpu} GICv{self.gic} {self.kernel} {self.page_size}"]
        for field in fields(self)[4:]:
            value = getattr(self, field.name)
            if value != field.default and field.name not in ("cold", "drives"):
                if isinstance(value, tuple):
                    value = " ".join(map(str, value if len(value) < 4 else (value[0], "…")))
                parts.append(f"{field.name}={value}")
        return " ".join(parts)


# The hosts that the whole test suite runs on.
TEST_SHAPES = (
    Shape(),
    Shape(kernel="newest"),
    Shape(page_size="16k"),
    Shape(cpu="cortex-a57", gic=2, kernel="6.1"),
    # Not the A57: there, the newest kernel does not get a restored guest going (ARCHITECTURE.md).
    Shape(cpu="cortex-a72", gic=2, kernel="newest"),
    # Debian 12's QEMU now and then runs code that is no longer there on this CPU: a guest whose
    # memory held an endless loop in an earlier VM was seen to execute that loop.
    Shape(cpu="max", kernel="newest", qemu="newest", machine_options=("mte=on",)),
)

#: PCI devices that a guest can be given: behind an SMMU, each in a group of its own, but for the
#: last two. The AHCI's disk and both USB sticks are drives.
_ASSIGNABLE = (
    "edu",
    *("ich9-ahci,id=ahci", "ide-hd,bus=ahci.0,drive=drive0"),
    *("usb-ehci,id=ehci", "usb-storage,bus=ehci.0,drive=drive1"),
    *("qemu-xhci,id=xhci", "usb-storage,bus=xhci.0,drive=drive2"),
    *("pci-ohci,id=ohci", "usb-kbd,bus=ohci.0"),
    # One group, and virtio's driver has the second one: nobody can be given the first.
    *("sdhci-pci,addr=0x10.0,multifunction=on", "virtio-rng-pci,addr=0x10.1"),
)
_WITH_DEVICES = Shape(
    machine_options=("iommu=smmuv3",),
    devices=_ASSIGNABLE,
    drives=("64M", "64M", "64M"),
    modules=("vfio-pci", "vfio_iommu_type1"),
)

# Hosts for the tests alone that need a property (tests/properties.py) which none of the above has.
SPECIAL_SHAPES = {
    "el2": Shape(
        cpu="neoverse-n2", kernel="newest", qemu="newest", append=("kvm-arm.mode=nested",)
    ),
    "vfio_group": _WITH_DEVICES,
    "vfio_group_unsafe": replace(_WITH_DEVICES, cpu="cortex-a57", gic=2),
}
#: Hosts that are asked for by name (--shape), with devices to be assigned to guests.
NAMED_SHAPES = {
    "devices-gicv3": _WITH_DEVICES,
    "devices-gicv3-newest": replace(_WITH_DEVICES, kernel="newest"),
    "devices-gicv2": SPECIAL_SHAPES["vfio_group_unsafe"],
}
#: The hosts for tests about the binding alone: each kernel and each GIC.
BINDING_SHAPES = (TEST_SHAPES[0], TEST_SHAPES[3], TEST_SHAPES[5])
#: Every host that the test suite boots.
ALL_SHAPES = (*TEST_SHAPES, *SPECIAL_SHAPES.values())
