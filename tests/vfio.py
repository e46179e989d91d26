# SPDX-License-Identifier: Apache-2.0
"""A device of the host that tests may give to VFIO: QEMU's `edu`, which nobody uses."""

from __future__ import annotations

import contextlib
from pathlib import Path

_PCI = Path("/sys/bus/pci")
_EDU = ("0x1234", "0x11e8")


def group() -> str | None:
    """The path of its VFIO group, the device bound to vfio-pci; None where there is no such."""
    for device in sorted(_PCI.glob("devices/*")):
        if tuple((device / name).read_text().strip() for name in ("vendor", "device")) != _EDU:
            continue
        with contextlib.suppress(OSError):  # no such driver, no IOMMU, or not root
            (device / "driver_override").write_text("vfio-pci")
            (_PCI / "drivers_probe").write_text(device.name)
            path = Path("/dev/vfio", (device / "iommu_group").readlink().name)
            if path.exists():
                return str(path)
    return None
