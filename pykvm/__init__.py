# SPDX-License-Identifier: Apache-2.0
"""pykvm: a thin, typed binding to Linux's /dev/kvm, made for arm64.

Start at :class:`Kvm`. Each kernel object is a class that owns its descriptor; a method that is one
ioctl carries the ioctl's name. What the guest does comes back as values (:mod:`pykvm.exits`), what
the kernel refuses as :class:`KvmError`.
"""

from __future__ import annotations

from pykvm.caps import Cap
from pykvm.device import Device, DeviceType
from pykvm.errors import (
    ClosedError,
    KvmBusyError,
    KvmError,
    KvmExistsError,
    KvmNotFoundError,
    KvmPermissionError,
    KvmUnsupportedError,
    KvmWouldBlockError,
)
from pykvm.eventfd import EventFd
from pykvm.exits import (
    Exit,
    FailEntry,
    InternalError,
    Interrupted,
    MmioRead,
    MmioWrite,
    SystemEvent,
    SystemEventType,
    Unknown,
)
from pykvm.ioeventfd import Ioeventfd
from pykvm.irqfd import Irqfd
from pykvm.its import VgicIts
from pykvm.kick import set_kick_signal
from pykvm.kvm import Kvm
from pykvm.levelline import LevelLine
from pykvm.memory import GuestMemory
from pykvm.registers import reg_id, reg_name, reg_size, sysreg
from pykvm.routing import MsiRoute, Route, SpiRoute
from pykvm.slot import MemorySlot
from pykvm.vcpu import Vcpu, VcpuFeature
from pykvm.vgic import Vgic
from pykvm.vgicstate import ItsState, VgicCpuState, VgicState
from pykvm.vgicv2 import VgicV2
from pykvm.vgicv3 import RedistRegion, VgicV3
from pykvm.vm import VM

__all__ = [
    "VM",
    "Cap",
    "ClosedError",
    "Device",
    "DeviceType",
    "EventFd",
    "Exit",
    "FailEntry",
    "GuestMemory",
    "InternalError",
    "Interrupted",
    "Ioeventfd",
    "Irqfd",
    "ItsState",
    "Kvm",
    "KvmBusyError",
    "KvmError",
    "KvmExistsError",
    "KvmNotFoundError",
    "KvmPermissionError",
    "KvmUnsupportedError",
    "KvmWouldBlockError",
    "LevelLine",
    "MemorySlot",
    "MmioRead",
    "MmioWrite",
    "MsiRoute",
    "RedistRegion",
    "Route",
    "SpiRoute",
    "SystemEvent",
    "SystemEventType",
    "Unknown",
    "Vcpu",
    "VcpuFeature",
    "Vgic",
    "VgicCpuState",
    "VgicIts",
    "VgicState",
    "VgicV2",
    "VgicV3",
    "reg_id",
    "reg_name",
    "reg_size",
    "set_kick_signal",
    "sysreg",
]

__version__ = "0.1.0"
