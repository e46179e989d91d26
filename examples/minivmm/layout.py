# SPDX-License-Identifier: Apache-2.0
"""Where everything is in the guest's address space, and which interrupt it has.

Interrupts are INTIDs, as the guest's GIC numbers them: 16 to 31 are private to a CPU (PPI), those
from 32 on are shared (SPI).
"""

from __future__ import annotations

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

GICD = 0x0800_0000
GICC = 0x0801_0000
ITS, ITS_SIZE = 0x0808_0000, 128 * KIB
GICR, GICR_SIZE = 0x080A_0000, 128 * KIB
#: Registers of devices of this host. A slot is whole pages of any host.
ASSIGNED, ASSIGNED_END, ASSIGNED_ALIGNMENT = 0x0B00_0000, 0x1000_0000, 64 * KIB
#: As many redistributors as fit below the UART; those of further CPUs follow the devices.
GICR_ROOM = (0x0900_0000 - GICR) // GICR_SIZE
MORE_GICR = 0x1000_0000

UART, UART_SIZE = 0x0900_0000, 4 * KIB
RTC, RTC_SIZE = 0x0901_0000, 4 * KIB
VIRTIO, VIRTIO_SIZE, VIRTIO_SLOTS = 0x0A00_0000, 0x200, 32

RAM = 0x4000_0000

UART_INTID = 33
RTC_INTID = 34
VIRTIO_INTID = 48
ASSIGNED_INTID = 96
PMU_INTID = 23
#: The timers of an arm64 CPU: secure, physical, virtual, hypervisor's.
TIMER_INTIDS = (29, 30, 27, 26)
