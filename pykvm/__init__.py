# SPDX-License-Identifier: Apache-2.0
"""pykvm: a thin, typed binding to Linux's /dev/kvm, made for arm64.

Start at :class:`Kvm`. Each kernel object is a class that owns its descriptor; a method that is one
ioctl carries the ioctl's name. What the guest does comes back as values (:mod:`pykvm.exits`), what
the kernel refuses as :class:`KvmError`.
"""

from __future__ import annotations

from pykvm._scalars import memory_fence
from pykvm.bitmap import bitmap_count, bitmap_pages, bitmap_runs
from pykvm.caps import Cap
from pykvm.coalesced import CoalescedMmio
from pykvm.device import Device, DeviceType
from pykvm.dirtyring import DirtyPage
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
    ArmLdst64b,
    ArmNisv,
    ArmSea,
    Debug,
    DebugCause,
    DirtyRingFull,
    Exit,
    FailEntry,
    Hypercall,
    InternalError,
    Interrupted,
    MemoryFault,
    MmioRead,
    MmioWrite,
    SystemEvent,
    SystemEventType,
    Unknown,
)
from pykvm.guest_memfd import GuestMemfd, GuestMemfdFlag
from pykvm.guestdebug import Breakpoint, DebugRegisters, GuestDebugControl, Watchpoint
from pykvm.ioeventfd import Ioeventfd
from pykvm.irqchip import ArmDeviceAddr
from pykvm.irqfd import Irqfd
from pykvm.its import VgicIts
from pykvm.kick import set_kick_signal
from pykvm.kvm import Kvm
from pykvm.levelline import LevelLine
from pykvm.memory import GuestMemory
from pykvm.mmio import MmioCounter, MmioLatch, MmioRange, MmioRing
from pykvm.registers import RegFamily, reg_family, reg_id, reg_name, reg_size, sysreg
from pykvm.registerset import RegisterSet
from pykvm.routing import MsiRoute, Route, SpiRoute
from pykvm.slot import MemorySlot
from pykvm.smccc import SmcccAction
from pykvm.statistics import Statistic, StatisticKind, Statistics, StatisticUnit
from pykvm.vcpu import Vcpu, VcpuFeature
from pykvm.vcpuattrs import PmuEventAction
from pykvm.vcpustate import DeviceIrqLevel, MpState, VcpuEvents
from pykvm.vcputhread import VcpuThread
from pykvm.vfio import Vfio
from pykvm.vgic import Vgic
from pykvm.vgicstate import ItsState, VgicCpuState, VgicState
from pykvm.vgicv2 import VgicV2
from pykvm.vgicv3 import RedistRegion, VgicV3
from pykvm.vgicv5 import VgicV5
from pykvm.vm import VM

__all__ = [
    "VM",
    "ArmDeviceAddr",
    "ArmLdst64b",
    "ArmNisv",
    "ArmSea",
    "Breakpoint",
    "Cap",
    "ClosedError",
    "CoalescedMmio",
    "Debug",
    "DebugCause",
    "DebugRegisters",
    "Device",
    "DeviceIrqLevel",
    "DeviceType",
    "DirtyPage",
    "DirtyRingFull",
    "EventFd",
    "Exit",
    "FailEntry",
    "GuestDebugControl",
    "GuestMemfd",
    "GuestMemfdFlag",
    "GuestMemory",
    "Hypercall",
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
    "MemoryFault",
    "MemorySlot",
    "MmioCounter",
    "MmioLatch",
    "MmioRange",
    "MmioRead",
    "MmioRing",
    "MmioWrite",
    "MpState",
    "MsiRoute",
    "PmuEventAction",
    "RedistRegion",
    "RegFamily",
    "RegisterSet",
    "Route",
    "SmcccAction",
    "SpiRoute",
    "Statistic",
    "StatisticKind",
    "StatisticUnit",
    "Statistics",
    "SystemEvent",
    "SystemEventType",
    "Unknown",
    "Vcpu",
    "VcpuEvents",
    "VcpuFeature",
    "VcpuThread",
    "Vfio",
    "Vgic",
    "VgicCpuState",
    "VgicIts",
    "VgicState",
    "VgicV2",
    "VgicV3",
    "VgicV5",
    "Watchpoint",
    "bitmap_count",
    "bitmap_pages",
    "bitmap_runs",
    "memory_fence",
    "reg_family",
    "reg_id",
    "reg_name",
    "reg_size",
    "set_kick_signal",
    "sysreg",
]

__version__ = "0.1.0"
