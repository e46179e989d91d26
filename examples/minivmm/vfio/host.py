# SPDX-License-Identifier: Apache-2.0
"""PCI devices as this host's sysfs shows them, and why one of them cannot be given to a guest."""

from __future__ import annotations

import contextlib
import re
from functools import partial
from pathlib import Path

from minivmm.endings import BadInput

PCI = Path("/sys/bus/pci")
GROUPS = Path("/sys/kernel/iommu_groups")
IOMMUS = Path("/sys/class/iommu")
DRIVER = "vfio-pci"
_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_BRIDGE = 0x0604


class HostDevice:
    """One of them, by its address, as 0000:00:02.0."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.path = PCI / "devices" / address
        if not _ADDRESS.fullmatch(address) or not self.path.exists():
            there = ", ".join(sorted(path.name for path in PCI.glob("devices/*"))) or "none"
            raise BadInput(
                f"--device {address}: this host has no such PCI device (it has: {there})"
            )

    def _number(self, name: str) -> int:
        return int((self.path / name).read_text(), 16)

    @property
    def ids(self) -> tuple[int, int]:
        """Vendor and device."""
        return self._number("vendor"), self._number("device")

    @property
    def class_code(self) -> int:
        """What kind of device it is: class, subclass, programming interface."""
        return self._number("class")

    def _link(self, name: str) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / name).readlink().name
        return None

    @property
    def driver(self) -> str | None:
        return self._link("driver")

    @property
    def group(self) -> int | None:
        """The number of its IOMMU group; None where no IOMMU stands before it."""
        name = self._link("iommu_group")
        return None if name is None else int(name)

    @property
    def interrupts(self) -> int:
        """What this host has counted of its line, by whomever it was driven."""
        heads, *lines = Path("/proc/interrupts").read_text(encoding="utf-8").splitlines()
        mine = [line.split() for line in lines if f"({self.address})" in line]
        return sum(int(word) for words in mine for word in words[1 : 1 + len(heads.split())])

    def check_bound(self) -> None:
        """BadInput where vfio-pci does not have it, with what would give it to vfio-pci."""
        if self.driver == DRIVER and self.group is not None:
            return
        if self.group is None and (self._was_refused() or not any(IOMMUS.glob("*"))):
            raise BadInput(
                f"--device {self.address}: it has no IOMMU group, for no IOMMU stands between it "
                "and memory: this host has none, or its firmware or kernel leaves it off. Without "
                f"one, the guest's DMA would reach all of this host's memory, so {DRIVER} does not "
                "take it"
            )
        has = f"the host's driver {self.driver} has it" if self.driver else "it has no driver"
        raise BadInput(
            f"--device {self.address}: {has}, and it must be bound to {DRIVER}. As root: "
            f"{self.binding()}"
        )

    def _was_refused(self) -> bool:
        """Whether somebody has asked for vfio-pci, and it did not take the device."""
        override = (self.path / "driver_override").read_text().strip()
        return override == DRIVER != self.driver and (PCI / "drivers" / DRIVER).exists()

    def binding(self) -> str:
        """The shell's words that bind it to vfio-pci."""
        steps = [] if (PCI / "drivers" / DRIVER).exists() else [f"modprobe {DRIVER}"]
        steps.append(f"echo {DRIVER} > {self.path}/driver_override")
        if self.driver:
            steps.append(f"echo {self.address} > {self.path}/driver/unbind")
        return " && ".join([*steps, f"echo {self.address} > {PCI}/drivers_probe"])

    def strangers(self) -> list[str]:
        """Devices of its group that the host's own drivers have: until they go, nobody gets it."""
        found = []
        for path in sorted((GROUPS / str(self.group) / "devices").glob("*")):
            other = HostDevice(path.name)
            # Bridges do no DMA of their own: VFIO does not mind their drivers.
            if other.driver not in (None, DRIVER) and other.class_code >> 8 != _BRIDGE:
                found.append(f"{other.address} ({other.driver})")
        return found

    def reserved(self) -> list[tuple[range, str]]:
        """Bus addresses that its group's DMA cannot use, and what for."""
        text = (GROUPS / str(self.group) / "reserved_regions").read_text()
        found = []
        for first, last, kind in map(str.split, text.splitlines()):
            found.append((range(int(first, 16), int(last, 16) + 1), kind))
        return found


def users(node: Path) -> list[str]:
    """Programs that have a node open, as far as this user may know: number and name of each."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or this user may not look
            if any(map(partial(_leads_to, node), (process / "fd").iterdir())):
                found.append(f"{process.name} ({(process / 'comm').read_text().strip()})")
    return sorted(found)


def _leads_to(node: Path, link: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # closed meanwhile
        return link.readlink() == node
    return False
