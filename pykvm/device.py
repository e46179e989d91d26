# SPDX-License-Identifier: Apache-2.0
"""Devices that KVM itself provides, set up by attributes."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from pykvm._described import Described
from pykvm._descriptor import Closing, Descriptor, check_int, octets
from pykvm._native import ffi, lib
from pykvm._raw import raw_ioctl
from pykvm.errors import ClosedError, KvmError

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


class Device(Closing):
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

    def set_device_attr(self, group: int, attr: int, value: Buffer | None = None) -> None:
        """KVM_SET_DEVICE_ATTR.

        Capability: DEVICE_CTRL.

        Args: ``group`` and ``attr`` as the device's documentation numbers them; ``value``: the
        bytes of the attribute, in the machine's own order, or None where it carries none. A value
        shorter than the attribute is padded with zeros.
        Errors: the device's own; ENXIO no such attribute, EBUSY too late or a vCPU is in a call.
        Synchronization: any thread.
        Source: api.rst 4.80.
        """
        data = ffi.NULL if value is None else ffi.new("uint8_t[]", _roomy(value))
        self._attr_call("KVM_SET_DEVICE_ATTR", group, attr, data)

    def get_device_attr(self, group: int, attr: int, value: Buffer) -> bytes:
        """KVM_GET_DEVICE_ATTR.

        Capability: DEVICE_CTRL.

        Args: ``group`` and ``attr`` as the device's documentation numbers them; ``value``: as many
        bytes as the attribute has; some attributes read them first (which region, say).
        Returns: what the kernel made of these bytes.
        Errors: the device's own; ENXIO no such attribute, EBUSY a vCPU is in a call.
        Synchronization: any thread.
        Source: api.rst 4.80.
        """
        with octets("value", value) as view:
            size = view.nbytes
        data = ffi.new("uint8_t[]", _roomy(value))
        self._attr_call("KVM_GET_DEVICE_ATTR", group, attr, data)
        return bytes(ffi.buffer(data, size))

    def has_device_attr(self, group: int, attr: int) -> bool:
        """KVM_HAS_DEVICE_ATTR: whether this device knows the attribute.

        Capability: DEVICE_CTRL.

        Args: ``group`` and ``attr`` as the device's documentation numbers them.
        Errors: none of the kernel's: ENXIO is the answer False.
        Synchronization: any thread.
        Source: api.rst 4.80.
        """
        try:
            self._attr_call("KVM_HAS_DEVICE_ATTR", group, attr)
        except KvmError as refusal:
            if refusal.errno != errno.ENXIO:
                raise
            return False
        return True

    def _attr_call(self, ioctl: str, group: int, attr: int, *data: object) -> None:
        group = check_int("group", group, 0, 2**32 - 1)
        attr = check_int("attr", attr, 0, 2**64 - 1)
        calls: dict[str, Callable[..., int]] = {
            "KVM_SET_DEVICE_ATTR": lib.set_device_attr,
            "KVM_GET_DEVICE_ATTR": lib.get_device_attr,
            "KVM_HAS_DEVICE_ATTR": lib.has_device_attr,
        }
        self._core.call(calls[ioctl], ioctl, group, attr, *data, group=group, attr=attr)

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


def _roomy(value: Buffer) -> bytes:
    """The bytes of ``value``, with room for the largest attribute that any device has.

    The kernel copies as much as the attribute has, whatever the caller brought: beyond a short
    buffer it would read or write memory of the interpreter.
    """
    with octets("value", value) as view:
        return view.tobytes().ljust(_LARGEST_ATTRIBUTE, b"\0")


_LARGEST_ATTRIBUTE = 64
