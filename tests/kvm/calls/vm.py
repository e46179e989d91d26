# SPDX-License-Identifier: Apache-2.0
"""Calls on a VM."""

from __future__ import annotations

from pykvm import Cap, DeviceType, MsiRoute, SpiRoute
from tests.kvm.calls.table import ATTRIBUTE, OPEN_EVENTFD, REQUEST, U31, U32, U64, Call
from tests.kvm.kinds import Anything, Buffer, Descriptor, Int, Other, Wrong
from tests.kvm.machines import DOORBELL_GPA, MEMORY_GPA, MEMORY_SIZE

_MEMORY = Other(
    *(Wrong(v, TypeError, "memory") for v in (None, 5, b"", bytearray(MEMORY_SIZE), object()))
)
_ROUTES = Other(
    *(Wrong(value, TypeError, "route") for value in (None, 5, object(), [5], [(8, 40)], "ab")),
    *(Wrong([SpiRoute(gsi, 40)], ValueError, "gsi") for gsi in (-1, 4096, 2**70)),
    *(Wrong([SpiRoute(8, intid)], ValueError, "intid") for intid in (-1, 0, 31, 1020, 2**70)),
    *(Wrong([MsiRoute(8, gpa, 0, 0)], ValueError, "address") for gpa in (-1, 2**64)),
    *(Wrong([MsiRoute(8, 0, data, 0)], ValueError, "data") for data in (-1, 2**32)),
    *(Wrong([MsiRoute(8, 0, 0, devid)], ValueError, "devid") for devid in (-1, 2**32)),
    *(Wrong([SpiRoute(gsi, 40)], TypeError, "gsi") for gsi in ("8", 8.0, None, True)),  # type: ignore[arg-type]
    Wrong([SpiRoute(8, 40), SpiRoute(8, 41)], ValueError, "gsi 8 has two routes"),
)
_SIZE = Int(1, 1 << 52)
#: True and False, or a descriptor: a bool is right here.
_RESAMPLE = Descriptor(bools=True)

CALLS: list[Call] = [
    Call(
        "VM.add_memory",
        "vm",
        {
            "gpa": (MEMORY_GPA, Int(0, U64)),
            "memory": (lambda stage: stage["memory"], _MEMORY),
            "offset": (0, Int(0, MEMORY_SIZE)),
            "size": (MEMORY_SIZE, Int(1, MEMORY_SIZE, none=True)),
            "slot": (3, Int(0, 2**16 - 1, none=True)),
            "readonly": (False, Anything()),
            "log_dirty": (False, Anything()),
        },
    ),
    Call("VM.arm_preferred_target", "vm"),
    Call("VM.check_extension", "vm", {"cap": (Cap.IRQFD, Int(0, U32))}),
    Call("VM.close", "vm", closed=None),
    Call("VM.closed", "vm", closed=None),
    Call("VM.create_device", "vm", {"type": (DeviceType.VFIO, Int(0, U32))}),
    Call("VM.create_vcpu", "vm", {"vcpu_id": (0, Int(0, U31))}),
    Call(
        "VM.create_vgic",
        "vm",
        {"version": (3, Int(2, 3, none=True)), "allow_implicit_init": (False, Anything())},
    ),
    Call("VM.fileno", "vm"),
    Call("VM.has_device", "vm", {"type": (DeviceType.VFIO, Int(0, U32))}),
    Call(
        "VM.ioeventfd",
        "vm",
        {
            "gpa": (DOORBELL_GPA, Int(0, U64)),
            "size": (4, Int(0, 8)),
            "datamatch": (7, Int(0, U32, none=True)),
            "eventfd": OPEN_EVENTFD,
        },
    ),
    Call("VM.ioctl", "vm", REQUEST),
    Call(
        "VM.irq_line",
        "wired",
        {
            "intid": (40, Int(32, 1019)),
            "level": (1, Int(0, 1, bools=True)),
            "vcpu_id": (None, Anything()),
        },
    ),
    Call(
        "VM.irq_line",
        "wired",
        {
            "intid": (20, Int(16, 31)),
            "level": (True, Int(0, 1, bools=True)),
            "vcpu_id": (0, Int(0, 4095, none=True)),
        },
    ),
    Call(
        "VM.irqfd",
        "wired",
        {
            "intid": (40, Int(32, 1019, none=True)),
            "eventfd": OPEN_EVENTFD,
            "resample": (True, _RESAMPLE),
            "allow_unrouted": (False, Anything()),
        },
    ),
    Call(
        "VM.irqfd", "wired", {"gsi": (8, Int(0, U32, none=True)), "allow_unrouted": (1, Anything())}
    ),
    Call("VM.set_gsi_routing", "wired", {"routes": ([SpiRoute(8, 40)], _ROUTES)}),
    Call(
        "VM.signal_msi",
        "wired",
        {
            "address": (0x8090040, Int(0, U64)),
            "data": (0, Int(0, U32)),
            "devid": (8, Int(0, U32, none=True)),
        },
    ),
    Call("VM.create_its", "vm"),
    Call("VM.has_device_attr", "vm", ATTRIBUTE),
    Call("VM.set_device_attr", "vm", {**ATTRIBUTE, "value": (bytes(4), Buffer(none=True))}),
]
