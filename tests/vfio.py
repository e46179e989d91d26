# SPDX-License-Identifier: Apache-2.0
"""Devices of the host that tests may give to VFIO: those of the lab's, which nobody else uses."""

from __future__ import annotations

import contextlib
from pathlib import Path

_PCI = Path("/sys/bus/pci")
_EDU = "0x1234 0x11e8"
#: By name: what sysfs says of vendor and device, or of the class.
KINDS = {
    "edu": _EDU,
    "ahci": "0x010601",
    "ohci": "0x0c0310",
    "ehci": "0x0c0320",
    "xhci": "0x0c0330",
    "sdhci": "0x080501",
}


def find(kind: str) -> str | None:
    """The address of the first device of a kind."""
    for device in sorted(_PCI.glob("devices/*")):
        told = [(device / name).read_text().strip() for name in ("vendor", "device", "class")]
        if KINDS[kind] in (" ".join(told[:2]), told[2]):
            return device.name
    return None


def bind(address: str, driver: str = "vfio-pci") -> bool:
    """Gives a device to a driver, or to none (``""``); whether it got there."""
    device = _PCI / "devices" / address
    with contextlib.suppress(OSError):  # no such driver, no IOMMU, or not root
        (device / "driver_override").write_text(f"{driver}\n")
        if (device / "driver").exists():
            (device / "driver" / "unbind").write_text(address)
        if driver:
            (_PCI / "drivers_probe").write_text(address)
    bound = (device / "driver").readlink().name if (device / "driver").exists() else ""
    return bound == driver


def bound(kind: str) -> str:
    """The address of a device of a kind, which vfio-pci has from now on."""
    address = find(kind)
    assert address is not None, f"this host has no {kind}"
    assert bind(address), f"vfio-pci did not take the {kind}"
    return address


def trust_guests(*, trusted: bool = True) -> None:
    """Lets devices be assigned on hosts whose GIC does not keep their messages apart."""
    path = Path("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts")
    path.write_text("Y" if trusted else "N")


def pinned_pages() -> int:
    """Pages that somebody keeps in place, of the whole host."""
    # Each CPU counts by itself, and hands in now and then: now.
    Path("/proc/sys/vm/stat_refresh").read_bytes()
    text = Path("/proc/vmstat").read_text(encoding="ascii")
    found = dict(line.split() for line in text.splitlines())
    return int(found["nr_foll_pin_acquired"]) - int(found["nr_foll_pin_released"])


def group() -> str | None:
    """The path of edu's VFIO group, the device bound to vfio-pci; None where there is no such."""
    address = find("edu")
    if address is None or not bind(address):
        return None
    path = Path("/dev/vfio", (_PCI / "devices" / address / "iommu_group").readlink().name)
    return str(path) if path.exists() else None
