# SPDX-License-Identifier: Apache-2.0
"""An ITS set up from outside, so that a message becomes an LPI of a guest that did nothing for it.

Source: Arm IHI 0069 (GICv3), chapter 5.
"""

from __future__ import annotations

import struct

from pykvm.its import VgicIts
from pykvm.memory import GuestMemory
from pykvm.probe.selftestguest import GITS_GPA, RAM_GPA
from pykvm.vgicv3 import VgicV3
from pykvm.vm import VM

__all__ = ["EVENT", "LPI_INTID", "lpis_for"]

LPI_INTID = 8192
EVENT = 0
_DEVICE = 0
_COLLECTION = 0
#: Offsets in the guest's memory: whose each is 64 KiB.
_PROPERTIES, _PENDING, _DEVICES, _COLLECTIONS, _QUEUE, _TRANSLATIONS = range(
    0x1_0000, 0x7_0000, 0x1_0000
)
_VALID = 1 << 63
#: Normal memory, inner shareable and cacheable, in pages of 64 KiB where a table has pages.
_MEMORY = _VALID | 7 << 59 | 1 << 10
_PAGES_OF_64K = 2 << 8
_INTID_BITS = 14
_EVENT_BITS = 5
_ENABLED_AT_PRIORITY_0XA0 = 0xA1
_MAPD, _MAPC, _MAPTI, _INV = 0x08, 0x09, 0x0A, 0x0C


def lpis_for(vm: VM, vgic: VgicV3, memory: GuestMemory) -> VgicIts:
    """An ITS that turns event 0 of device 0 into the first LPI of vCPU 0, after the GIC's init."""
    its = vm.create_its()
    its.addr = GITS_GPA
    its.init()
    memory.write(_PROPERTIES, bytes([_ENABLED_AT_PRIORITY_0XA0]))
    vgic.set_redist_reg("GICR_PROPBASER", RAM_GPA + _PROPERTIES | _INTID_BITS - 1)
    vgic.set_redist_reg("GICR_PENDBASER", RAM_GPA + _PENDING)
    vgic.set_redist_reg("GICR_CTLR", 1)
    its.set_its_reg("GITS_BASER0", _MEMORY | _PAGES_OF_64K | RAM_GPA + _DEVICES)
    its.set_its_reg("GITS_BASER1", _MEMORY | _PAGES_OF_64K | RAM_GPA + _COLLECTIONS)
    its.set_its_reg("GITS_CBASER", _MEMORY | RAM_GPA + _QUEUE)
    commands = _commands()
    memory.write(_QUEUE, commands)
    its.set_its_reg("GITS_CTLR", 1)
    its.set_its_reg("GITS_CWRITER", len(commands))
    return its


def _commands() -> bytes:
    device = _DEVICE << 32
    words = (
        (_MAPD | device, _EVENT_BITS - 1, _VALID | RAM_GPA + _TRANSLATIONS, 0),
        (_MAPC, 0, _VALID | _COLLECTION, 0),  # vCPU 0
        (_MAPTI | device, EVENT | LPI_INTID << 32, _COLLECTION, 0),
        (_INV | device, EVENT, 0, 0),
    )
    return b"".join(struct.pack("<4Q", *command) for command in words)
