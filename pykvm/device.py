# SPDX-License-Identifier: Apache-2.0
"""Devices that KVM itself provides, set up by attributes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from pykvm._attributes import ReadableAttributes
from pykvm._described import Described
from pykvm._descriptor import Closing, Descriptor
from pykvm._native import lib
from pykvm._raw import raw_ioctl
from pykvm.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from pykvm._vmcore import VmCore
    from pykvm.vm import VM

__all__ = ["Device", "DeviceType", "type_name"]


class DeviceType(Described):
    """What KVM_CREATE_DEVICE can make on arm64."""

    VFIO = 4, "Binds VFIO groups to the VM. Since 3.14."
    ARM_VGIC_V2 = 5, "A GICv2, for up to 8 vCPUs. Since 3.14."
    ARM_VGIC_V3 = 7, "A GICv3. Since 4.0."
    ARM_VGIC_ITS = 8, "An interrupt translation service beside a GICv3. Since 4.8."
    ARM_PV_TIME = (
        10,
        "A number only: stolen time is an attribute of the vCPU, and no kernel makes this device.",
    )
    ARM_VGIC_V5 = 16, "A GICv5. Since 7.1."


class Device(ReadableAttributes, Closing):
    """A device of a VM, made by :meth:`VM.create_device`.

    Closing it gives the descriptor back. A GIC or an ITS stays in the VM until that ends; VFIO's
    device ends with its descriptor.

    Synchronization: any thread.
    Source: Documentation/virt/kvm/devices; api.rst 4.80.
    """

    __slots__ = ("__weakref__", "_core", "_vm", "_vm_core", "type")

    def __init__(self, vm: VM, vm_core: VmCore, type: int) -> None:
        self._core = Descriptor(-1, self.__class__.__name__)
        self._core.receive(
            vm_core, lib.create_device, "KVM_CREATE_DEVICE", type, type=type_name(type)
        )
        self._vm_core: VmCore | None = vm_core  # keeps the VM's descriptor open
        self._vm = weakref.ref(vm)
        self.type = type

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core.fd < 0

    def fileno(self) -> int:
        """The descriptor's number. ClosedError after close()."""
        if self._core.fd < 0:
            raise ClosedError(f"this {self._core.what} is closed")
        return self._core.fd

    def ioctl(self, request: int, argument: int | Buffer = 0) -> int:
        """Any ioctl on the device, by number; see :meth:`VM.ioctl`.

        Capability: the ioctl's own.

        Errors: ENOTTY no such ioctl, and the ioctl's own.
        Synchronization: any thread.
        Source: api.rst, section 4.
        """
        return raw_ioctl(self._core, request, argument)

    def close(self) -> None:
        """Closes the descriptor; a GIC or an ITS stays in its VM."""
        self._core.close()
        self._vm_core = None

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"fd {self._core.fd}"
        return f"<{self._core.what} {state}>"


def type_name(number: int) -> object:
    """The name of a device type for people, or its number."""
    try:
        return DeviceType(number).name
    except ValueError:
        return number
