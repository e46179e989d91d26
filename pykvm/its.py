# SPDX-License-Identifier: Apache-2.0
"""The interrupt translation service: message-signalled interrupts beside a GICv3."""

from __future__ import annotations

import struct

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm.device import Device, DeviceType

__all__ = ["VgicIts"]

#: Where in its frame the ITS takes messages: GITS_TRANSLATER.
DOORBELL_OFFSET = 0x1_0040
_UNSET = 2**64 - 1


class VgicIts(Device):
    """An ITS, made by :meth:`VM.create_its`. A VM may have several.

    From the first on, every MSI of the VM must name its device.

    Synchronization: any thread; its attributes answer EBUSY while a vCPU is inside a call.
    Source: Documentation/virt/kvm/devices/arm-vgic-its.rst.
    """

    __slots__ = ()

    device_type = DeviceType.ARM_VGIC_ITS

    @property
    def addr(self) -> int:
        """gpa of the ITS: 128 KiB, aligned to 64 KiB. All ones while unset. Set it once.

        Errors: EEXIST set before, EINVAL alignment, E2BIG beyond the address space.
        """
        data = self.get_device_attr(
            lib.KVM_DEV_ARM_VGIC_GRP_ADDR, lib.KVM_VGIC_ITS_ADDR_TYPE, bytes(8)
        )
        return int.from_bytes(data, "little")

    @addr.setter
    def addr(self, gpa: int) -> None:
        check_int("addr", gpa, 0, 2**64 - 1)
        self.set_device_attr(
            lib.KVM_DEV_ARM_VGIC_GRP_ADDR, lib.KVM_VGIC_ITS_ADDR_TYPE, struct.pack("=Q", gpa)
        )

    @property
    def doorbell(self) -> int:
        """gpa to which devices send their messages (GITS_TRANSLATER): the address of an MSI.

        ValueError while :attr:`addr` is unset.
        """
        if (addr := self.addr) == _UNSET:
            raise ValueError("the ITS has no address yet: set its addr first")
        return addr + DOORBELL_OFFSET

    def init(self) -> None:
        """KVM_SET_DEVICE_ATTR, CTRL_INIT: call it once the address is set.

        Capability: DEVICE_CTRL.

        Errors: EBUSY a vCPU is inside a call.
        Synchronization: any thread.
        Source: devices/arm-vgic-its.rst, KVM_DEV_ARM_VGIC_GRP_CTRL.
        """
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_VGIC_CTRL_INIT)
