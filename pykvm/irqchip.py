# SPDX-License-Identifier: Apache-2.0
"""The interrupt controller as VMs had it before devices: that part of :class:`pykvm.VM`."""

from __future__ import annotations

from pykvm._described import Described
from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm._vmcore import VmCore

__all__ = ["ArmDeviceAddr", "Irqchip"]


class ArmDeviceAddr(Described):
    """What :meth:`VM.arm_set_device_addr` can place."""

    VGIC_V2_DIST = 0, "The distributor of a GICv2: 4 KiB."
    VGIC_V2_CPU = 1, "The CPU interface of a GICv2: 8 KiB."


class Irqchip:
    """The part of a VM that makes its interrupt controller without a device to hold.

    Nothing can initialise such a GICv2 but the kernel itself: at the first run(), or at the first
    irq_line(), of which ``irq_line(32, 0)`` does nothing else. That fixes the number of vCPUs,
    routes gsi n to SPI n + 32 whatever was routed before, and only then irqfds are taken.
    """

    __slots__ = ()

    _core: VmCore

    def create_irqchip(self) -> None:
        """KVM_CREATE_IRQCHIP: a GICv2 of 256 interrupts; on x86_64, that machine's chips.

        Capability: IRQCHIP.

        On arm64 :meth:`VM.create_vgic` makes the same one, with an init() and a size to choose.
        Here the kernel initialises it behind one's back, at the first run() or irq_line(): create
        every vCPU before that, and set routing and irqfds up after it (``irq_line(32, 0)`` does
        nothing else). pykvm cannot see when, so the interrupt routing counts as unknown.
        Errors: ENODEV the host cannot make a GICv2, EEXIST the VM has a GIC, EBUSY a vCPU has run,
        E2BIG more than 8 vCPUs, ENXIO a host without a GIC for guests; EINVAL (x86_64) a vCPU
        exists.
        Synchronization: any thread.
        Source: api.rst 4.24.
        """
        self._core.call(lib.create_irqchip, "KVM_CREATE_IRQCHIP")
        self._core.routing.forget()

    def arm_set_device_addr(self, id: ArmDeviceAddr | int, gpa: int) -> None:
        """KVM_ARM_SET_DEVICE_ADDR: places a GICv2, however it was made.

        Capability: ARM_SET_DEVICE_ADDR; arm64.

        Args: ``id``: an :class:`ArmDeviceAddr`, or the kernel's number for device and part;
        ``gpa``: bytes, a multiple of 4 KiB; each can be set once, and must be before the first run.
        Errors: ENODEV no GICv2 or no such part, EEXIST set before, EINVAL alignment or overlap,
        E2BIG beyond the address space, ENXIO a host without a GIC for guests.
        Synchronization: any thread.
        Source: api.rst 4.85.
        """
        id = check_int("id", id, 0, 2**64 - 1)
        gpa = check_int("gpa", gpa, 0, 2**64 - 1)
        self._core.call(lib.arm_set_device_addr, "KVM_ARM_SET_DEVICE_ADDR", id, gpa, id=id, gpa=gpa)
