# SPDX-License-Identifier: Apache-2.0
"""The virtual GICv5, of hosts that have a GICv5 themselves."""

from __future__ import annotations

from pykvm._native import lib
from pykvm.device import Device, DeviceType

__all__ = ["VgicV5"]


class VgicV5(Device):
    """A GICv5, made by ``vm.create_device(DeviceType.ARM_VGIC_V5)``. Since 7.1.

    So far KVM gives it PPIs and nothing else: no addresses, no SPIs, so no irqfds.

    Synchronization: any thread; its attributes answer EBUSY while a vCPU is inside a call.
    Source: Documentation/virt/kvm/devices/arm-vgic-v5.rst.
    """

    __slots__ = ()

    device_type = DeviceType.ARM_VGIC_V5

    def init(self) -> None:
        """KVM_SET_DEVICE_ATTR, CTRL_INIT: after every vCPU is created, before any runs.

        Capability: DEVICE_CTRL.

        Errors: ENODEV no vCPU, EBUSY a vCPU is inside a call, ENXIO not set up, ENOMEM.
        Synchronization: any thread.
        Source: devices/arm-vgic-v5.rst, KVM_DEV_ARM_VGIC_CTRL_INIT.
        """
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_VGIC_CTRL_INIT)

    @property
    def userspace_ppis(self) -> int:
        """Which PPIs a VMM may drive, as a mask of 128 bits: bit n for PPI n. Read-only.

        Source: devices/arm-vgic-v5.rst, KVM_DEV_ARM_VGIC_USERSPACE_PPIS.
        """
        data = self.get_device_attr(
            lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_VGIC_USERSPACE_PPIS, bytes(16)
        )
        return int.from_bytes(data, "little")
