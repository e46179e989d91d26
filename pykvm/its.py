# SPDX-License-Identifier: Apache-2.0
"""The interrupt translation service: message-signalled interrupts beside a GICv3."""

from __future__ import annotations

import struct

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm._vgicaccess import read, write
from pykvm.device import Device, DeviceType
from pykvm.vgicregs import ITS, find

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

    def get_its_reg(self, reg: int | str) -> int:
        """KVM_GET_DEVICE_ATTR of ITS_REGS: a register of the ITS.

        Capability: DEVICE_CTRL.

        Args: ``reg``: a name, as GITS_CBASER, or an offset.
        Returns: up to 64 bits.
        Errors: ENXIO no address yet, or no register there; EINVAL not aligned; EBUSY a vCPU is
        inside a call.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-its.rst, ITS_REGS; Arm IHI 0069.
        """
        name, offset, _ = find(ITS, reg, width=8)
        return read(self._core, lib.KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, 8, reg=name)

    def set_its_reg(self, reg: int | str, value: int) -> None:
        """KVM_SET_DEVICE_ATTR of ITS_REGS: writes a register of the ITS.

        Capability: DEVICE_CTRL.

        As the guest's own store: a GITS_CWRITER beyond GITS_CREADR has commands executed. But
        GITS_CREADR can be written, while the ITS is off, and GITS_IIDR chooses the form of the
        tables.
        Args: ``reg``: a name, as GITS_CBASER, or an offset; ``value``: up to 64 bits.
        Errors: as of :meth:`get_its_reg`; EBUSY also GITS_CREADR of an ITS that is on; EINVAL also
        a form of tables that this kernel lacks, or a GITS_CREADR beyond the queue.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-its.rst, ITS_REGS; Arm IHI 0069.
        """
        name, offset, size = find(ITS, reg, width=8)
        value = check_int("value", value, 0, 2 ** (8 * size) - 1)
        write(self._core, lib.KVM_DEV_ARM_VGIC_GRP_ITS_REGS, offset, 8, value, reg=name)

    def save_tables(self) -> None:
        """KVM_SET_DEVICE_ATTR, CTRL SAVE_TABLES: what the guest has mapped, to guest memory.

        Capability: DEVICE_CTRL.

        To the tables that GITS_BASER<n> and the guest's own commands name. The guest may go on.
        Errors: EBUSY a vCPU is inside a call; EFAULT a table is not in memory of the guest; EINVAL
        tables that cannot be; EACCES interrupts that a GICv4 delivers by itself.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-its.rst, KVM_DEV_ARM_ITS_SAVE_TABLES.
        """
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_ITS_SAVE_TABLES)

    def restore_tables(self) -> None:
        """KVM_SET_DEVICE_ATTR, CTRL RESTORE_TABLES: what the guest had mapped, from its memory.

        Capability: DEVICE_CTRL.

        After every register of the ITS but GITS_CTLR, and after the redistributors.
        Errors: EBUSY a vCPU is inside a call; EFAULT a table is not in memory of the guest; EINVAL
        tables that cannot be; EEXIST a mapping that is there already (see :meth:`reset`); ENOMEM.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-its.rst, KVM_DEV_ARM_ITS_RESTORE_TABLES.
        """
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_ITS_RESTORE_TABLES)

    def reset(self) -> None:
        """KVM_SET_DEVICE_ATTR, CTRL RESET: the ITS as it was at first, at its address.

        Capability: DEVICE_CTRL.

        It is off, its mappings are gone, and so are the tables and the queue that it knew.
        Errors: EBUSY a vCPU is inside a call.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-its.rst, KVM_DEV_ARM_ITS_CTRL_RESET.
        """
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_ITS_CTRL_RESET)
