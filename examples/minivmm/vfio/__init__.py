# SPDX-License-Identifier: Apache-2.0
"""A device of this host, given to the guest.

``host``      what sysfs says of a device, and why it cannot be given away
``dma``       the IOMMU's address space that its DMA sees
``device``    its registers and interrupts, as VFIO shows them
``assign``    the wiring: registers, memory, interrupt line
``lostends``  ways around kernels that lose ends of interrupts
``uapi``      VFIO's numbers and structures
"""

from __future__ import annotations

from typing import NamedTuple


class Wanted(NamedTuple):
    """``--device``: which, and how. ``registers``: "direct", "trap", or "auto".

    The last three are there to show what breaks without them.
    """

    address: str
    registers: str = "auto"
    resample: bool = True
    level: bool = True
    bus_master: bool = True
