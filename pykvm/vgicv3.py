# SPDX-License-Identifier: Apache-2.0
"""The virtual GICv3: its frames, what it does as a whole, and its state."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from typing import NamedTuple

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm.device import DeviceType
from pykvm.errors import KvmError
from pykvm.its import VgicIts
from pykvm.vgic import Vgic
from pykvm.vgicstate import VgicState
from pykvm.vgicv3regs import VgicV3Registers

__all__ = ["RedistRegion", "VgicV3"]


class RedistRegion(NamedTuple):
    """Room for so many redistributors of 128 KiB from ``gpa`` on; 0 for as many as come."""

    gpa: int
    room: int


class VgicV3(VgicV3Registers, Vgic):
    """A GICv3, for up to 512 vCPUs.

    Source: Documentation/virt/kvm/devices/arm-vgic-v3.rst.
    """

    __slots__ = ()

    version = 3
    device_type = DeviceType.ARM_VGIC_V3

    @property
    def dist_addr(self) -> int:
        """gpa of the distributor: 64 KiB, aligned to as much. All ones while unset.

        Errors: EEXIST set before, EINVAL alignment or overlap, E2BIG beyond the address space.
        """
        return self._get_addr(lib.KVM_VGIC_V3_ADDR_TYPE_DIST)

    @dist_addr.setter
    def dist_addr(self, gpa: int) -> None:
        self._set_addr("dist_addr", lib.KVM_VGIC_V3_ADDR_TYPE_DIST, gpa)

    @property
    def redist_addr(self) -> int:
        """gpa of one region for all redistributors: 128 KiB per vCPU, aligned to 64 KiB.

        Excludes :meth:`add_redist_region`.
        Errors: EEXIST set before, EINVAL alignment, overlap or regions in use, E2BIG beyond the
        address space.
        """
        return self._get_addr(lib.KVM_VGIC_V3_ADDR_TYPE_REDIST)

    @redist_addr.setter
    def redist_addr(self, gpa: int) -> None:
        self._set_addr("redist_addr", lib.KVM_VGIC_V3_ADDR_TYPE_REDIST, gpa)

    @property
    def maint_irq(self) -> int:
        """INTID of the PPI by which a guest that is a hypervisor hears of its own virtual GIC.

        0 while unset: init() then takes 25. Before init() alone; since Linux 6.15.
        Errors: EINVAL no PPI (16 to 31), EBUSY initialised, ENXIO an older kernel.
        Source: devices/arm-vgic-v3.rst, KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ.
        """
        data = self.get_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, bytes(4))
        return int.from_bytes(data, "little")

    @maint_irq.setter
    def maint_irq(self, intid: int) -> None:
        intid = check_int("maint_irq", intid, 0, 2**32 - 1)
        self.set_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ, 0, struct.pack("=I", intid))

    def add_redist_region(self, gpa: int, count: int, *, index: int) -> None:
        """KVM_SET_DEVICE_ATTR, a region of ``count`` redistributors at ``gpa``.

        Capability: DEVICE_CTRL.

        Args: ``gpa``: bytes, a multiple of 64 KiB; ``count``: 1 to 4095 redistributors of 128 KiB;
        ``index``: 0 for the first region, then 1, 2, …
        Errors: EINVAL index out of order, overlap or redist_addr in use, E2BIG beyond the address
        space.
        Synchronization: any thread.
        Source: devices/arm-vgic-v3.rst, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION.
        """
        gpa = check_int("gpa", gpa, 0, 2**52 - 1)
        count = check_int("count", count, 1, 4095)
        index = check_int("index", index, 0, 4095)
        if gpa % 0x10000:
            raise ValueError(f"gpa {gpa:#x} is no multiple of 64 KiB")
        value = count << 52 | gpa | index
        self._set_addr("region", lib.KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, value)

    @property
    def redist_regions(self) -> tuple[RedistRegion, ...]:
        """The regions of redistributors, in order; redist_addr makes one whose room is 0.

        Source: devices/arm-vgic-v3.rst, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION.
        """
        found: list[RedistRegion] = []
        attr = lib.KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION
        while True:
            asked = struct.pack("=Q", len(found))
            try:
                data = self.get_device_attr(lib.KVM_DEV_ARM_VGIC_GRP_ADDR, attr, asked)
            except KvmError as refusal:
                if refusal.errno != errno.ENOENT:
                    raise
                return tuple(found)
            (value,) = struct.unpack("=Q", data)
            found.append(RedistRegion(value & 0xF_FFFF_FFFF_0000, value >> 52))

    def save_pending_tables(self) -> None:
        """KVM_SET_DEVICE_ATTR, CTRL SAVE_PENDING_TABLES: which LPIs are pending, to guest memory.

        Capability: DEVICE_CTRL.

        To the tables that GICR_PENDBASER names, so that whoever copies memory has them. The guest
        may go on.
        Errors: EBUSY a vCPU is inside a call; ENXIO without init(); EFAULT a table is not in memory
        of the guest.
        Synchronization: any thread, while no vCPU runs.
        Source: devices/arm-vgic-v3.rst, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES.
        """
        self.set_device_attr(
            lib.KVM_DEV_ARM_VGIC_GRP_CTRL, lib.KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES
        )

    def save(
        self, *, its: Iterable[VgicIts] = (), mpidrs: Iterable[int] | None = None
    ) -> VgicState:
        """The whole state of the GIC and its ITSs, as a plain value.

        With ``its``, all that the VM has, the tables of LPIs and ITSs are written to guest memory:
        copy that afterwards. ``mpidrs``: the vCPUs' MPIDR_EL1, where they were made elsewhere or
        theirs was changed; by default what KVM derives from the numbers of the VM's vCPUs.
        Raises KvmBusyError while a vCPU is inside a call: kick them out first; ValueError where the
        VM has an ITS that is not handed in.
        """
        from pykvm import vgicv3state

        return vgicv3state.save(self, its, mpidrs)

    def restore(self, state: VgicState, *, its: Iterable[VgicIts] = ()) -> None:
        """Makes the GIC and its ITSs what they were; for a VM whose vCPUs have not run.

        Before: memory, the vCPUs in the order in which they were made, GIC and ITSs placed and
        initialised. After: irqfds and routing. Lines are up again where they were. Where a vCPU
        has run, all is restored but whether its timers' interrupts are active.
        ValueError, with nothing changed, where the state is of a GIC of another shape: version,
        nr_irqs, addresses, vCPUs, ITSs, priority bits. KvmBusyError while a vCPU is inside a call.
        """
        from pykvm import vgicv3state

        vgicv3state.restore(self, state, its)
