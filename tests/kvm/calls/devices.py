# SPDX-License-Identifier: Apache-2.0
"""Calls on devices."""

from __future__ import annotations

from tests.kvm.calls.table import ATTRIBUTE, REQUEST, U32, U64, Call
from tests.kvm.kinds import Buffer, Descriptor, Int

#: The kernel refuses it; a closed one is refused here.
_FILE = (lambda stage: stage["file"], Descriptor())

CALLS: list[Call] = [
    Call("Device.close", "device", closed=None),
    Call("Device.closed", "device", closed=None),
    Call("Device.fileno", "device"),
    Call("Device.get_device_attr", "device", {**ATTRIBUTE, "value": (bytes(4), Buffer())}),
    Call("Device.has_device_attr", "device", ATTRIBUTE),
    Call("Device.ioctl", "device", REQUEST),
    Call("Device.set_device_attr", "device", {**ATTRIBUTE, "value": (bytes(4), Buffer(none=True))}),
    Call("VM.create_vfio", "vm"),
    Call("Vfio.file_add", "vfio", {"given": _FILE}),
    Call("Vfio.file_del", "vfio", {"given": _FILE}),
    Call("Vgic.init", "vgic"),
    Call("Vgic.nr_irqs", "vgic"),
    Call("Vgic.nr_irqs=", "vgic", {"nr_irqs": (64, Int(0, U32))}),
    Call("Vgic.trigger_of", "vgic", {"intid": (40, Int(32, 1019))}),
    Call("VgicIts.addr", "its"),
    Call("VgicIts.addr=", "its", {"addr": (0x8080000, Int(0, U64))}),
    Call("VgicIts.doorbell", "placed_its"),
    Call("VgicIts.init", "its"),
    Call("VgicV2.cpu_addr", "vgicv2"),
    Call("VgicV2.cpu_addr=", "vgicv2", {"cpu_addr": (0x8010000, Int(0, U64))}),
    Call("VgicV2.dist_addr", "vgicv2"),
    Call("VgicV2.dist_addr=", "vgicv2", {"dist_addr": (0x8000000, Int(0, U64))}),
    Call(
        "VgicV3.add_redist_region",
        "vgicv3",
        {
            "gpa": (0x80A0000, Int(0, 2**52 - 1)),
            "count": (1, Int(1, 4095)),
            "index": (0, Int(0, 4095)),
        },
    ),
    Call("VgicV3.dist_addr", "vgicv3"),
    Call("VgicV3.dist_addr=", "vgicv3", {"dist_addr": (0x8000000, Int(0, U64))}),
    Call("VgicV3.maint_irq", "vgicv3"),
    Call("VgicV3.maint_irq=", "vgicv3", {"maint_irq": (25, Int(0, U32))}),
    Call("VgicV3.redist_addr", "vgicv3"),
    Call("VgicV5.init", "vgicv5"),
    Call("VgicV5.userspace_ppis", "vgicv5"),
    Call("VgicV3.redist_addr=", "vgicv3", {"redist_addr": (0x80A0000, Int(0, U64))}),
]
