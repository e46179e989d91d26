# SPDX-License-Identifier: Apache-2.0
"""Attributes by number: what devices, VMs and vCPUs have in common."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from pykvm._descriptor import Descriptor, check_int, octets
from pykvm._native import ffi, lib
from pykvm.errors import KvmError

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

__all__ = ["Attributes", "ReadableAttributes", "attr_call", "roomy"]

_ALL_ONES = 2**64 - 1
_get_attr_number = lib.get_attr_number


class Attributes:
    """What can be set up by attributes. (The kernel has no way to read a VM's.)"""

    __slots__ = ()

    _core: Descriptor

    def set_device_attr(self, group: int, attr: int, value: Buffer | None = None) -> None:
        """KVM_SET_DEVICE_ATTR.

        Capability: DEVICE_CTRL; VCPU_ATTRIBUTES on a vCPU.

        Args: ``group`` and ``attr`` as the kernel's documentation numbers them; ``value``: the
        bytes of the attribute, in the machine's own order, or None where it carries none. A value
        shorter than the attribute is padded with zeros.
        Errors: the device's own; ENXIO no such attribute, EBUSY too late or a vCPU is in a call.
        Synchronization: any thread.
        Source: api.rst 4.80.
        """
        data = ffi.NULL if value is None else ffi.new("uint8_t[]", roomy(value))
        attr_call(self._core, "KVM_SET_DEVICE_ATTR", group, attr, data)

    def has_device_attr(self, group: int, attr: int) -> bool:
        """KVM_HAS_DEVICE_ATTR: whether this descriptor knows the attribute.

        Capability: DEVICE_CTRL; VCPU_ATTRIBUTES on a vCPU.

        Args: ``group`` and ``attr`` as the kernel's documentation numbers them.
        Errors: none of the kernel's: ENXIO is the answer False.
        Synchronization: any thread.
        Source: api.rst 4.80.
        """
        try:
            attr_call(self._core, "KVM_HAS_DEVICE_ATTR", group, attr)
        except KvmError as refusal:
            if refusal.errno != errno.ENXIO:
                raise
            return False
        return True


class ReadableAttributes(Attributes):
    """What also tells its attributes."""

    __slots__ = ()

    def get_device_attr(self, group: int, attr: int, value: Buffer) -> bytes:
        """KVM_GET_DEVICE_ATTR.

        Capability: DEVICE_CTRL; VCPU_ATTRIBUTES on a vCPU.

        Args: ``group`` and ``attr`` as the kernel's documentation numbers them; ``value``: as many
        bytes as the attribute has; some attributes read them first (which region, say).
        Returns: what the kernel made of these bytes.
        Errors: the device's own; ENXIO no such attribute, EBUSY a vCPU is in a call.
        Synchronization: any thread.
        Source: api.rst 4.80.
        """
        with octets("value", value) as view:
            size = view.nbytes
        data = ffi.new("uint8_t[]", roomy(value))
        attr_call(self._core, "KVM_GET_DEVICE_ATTR", group, attr, data)
        return bytes(ffi.buffer(data, size))

    def get_device_attr_number(self, group: int, attr: int) -> int:
        """KVM_GET_DEVICE_ATTR of an attribute that is a number, the quick way.

        Capability: DEVICE_CTRL; VCPU_ATTRIBUTES on a vCPU.

        Args: ``group`` and ``attr`` as the kernel's documentation numbers them; the attribute is
        one that reads nothing of the caller.
        Returns: its bytes, 8 of them at most, as a number.
        Errors: the device's own; ENXIO no such attribute, EBUSY a vCPU is in a call.
        Synchronization: any thread.
        Source: api.rst 4.80.
        """
        try:
            value = _get_attr_number(self._core.fd, group, attr)
        except (TypeError, OverflowError):
            value = _ALL_ONES
        if value == _ALL_ONES:
            return int.from_bytes(self.get_device_attr(group, attr, bytes(8)), "little")
        return value


def attr_call(
    core: Descriptor, ioctl: str, group: int, attr: int, *data: object, arm64: bool = False
) -> None:
    """One of the three calls. ``arm64``: these numbers mean something else elsewhere."""
    group = check_int("group", group, 0, 2**32 - 1)
    attr = check_int("attr", attr, 0, 2**64 - 1)
    calls: dict[tuple[str, bool], Callable[..., int]] = {
        ("KVM_SET_DEVICE_ATTR", False): lib.set_device_attr,
        ("KVM_GET_DEVICE_ATTR", False): lib.get_device_attr,
        ("KVM_HAS_DEVICE_ATTR", False): lib.has_device_attr,
        ("KVM_SET_DEVICE_ATTR", True): lib.set_arm64_attr,
        ("KVM_GET_DEVICE_ATTR", True): lib.get_arm64_attr,
        ("KVM_HAS_DEVICE_ATTR", True): lib.has_arm64_attr,
    }
    core.call(calls[ioctl, arm64], ioctl, group, attr, *data, group=group, attr=attr)


def roomy(value: Buffer) -> bytes:
    """The bytes of ``value``, with room for the largest attribute that any device has.

    The kernel copies as much as the attribute has, whatever the caller brought: beyond a short
    buffer it would read or write memory of the interpreter.
    """
    with octets("value", value) as view:
        return view.tobytes().ljust(lib.PYKVM_LARGEST_ATTRIBUTE, b"\0")
