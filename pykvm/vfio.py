# SPDX-License-Identifier: Apache-2.0
"""VFIO's device: by it KVM knows which of the host's devices a VM drives."""

from __future__ import annotations

import struct

from pykvm._descriptor import Descriptor, HasFileno, duplicate, number_of
from pykvm._native import ffi, lib
from pykvm.device import Device, DeviceType

__all__ = ["Vfio"]


class Vfio(Device):
    """The link between a VM and VFIO, made by :meth:`VM.create_vfio`. A VM has one at a time.

    KVM keeps each file open until it is taken back, or the device is closed.

    Synchronization: any thread.
    Source: Documentation/virt/kvm/devices/vfio.rst.
    """

    __slots__ = ()

    device_type = DeviceType.VFIO

    def file_add(self, given: int | HasFileno) -> None:
        """KVM_DEV_VFIO_FILE_ADD: the VM drives what is behind this file.

        Capability: DEVICE_CTRL.

        Args: ``given``: a descriptor of a VFIO group (/dev/vfio/N) or, since 6.6, device.
        Errors: EINVAL no file of VFIO's, EEXIST added before; ValueError not open.
        Synchronization: any thread.
        Source: devices/vfio.rst, KVM_DEV_VFIO_FILE_ADD.
        """
        self._set_file("KVM_DEV_VFIO_FILE_ADD", lib.KVM_DEV_VFIO_FILE_ADD, given)

    def file_del(self, given: int | HasFileno) -> None:
        """KVM_DEV_VFIO_FILE_DEL: takes a file back.

        Capability: DEVICE_CTRL.

        Args: ``given``: a descriptor of the file that was added, or a duplicate of it.
        Errors: ENOENT not added; ValueError not open.
        Synchronization: any thread.
        Source: devices/vfio.rst, KVM_DEV_VFIO_FILE_DEL.
        """
        self._set_file("KVM_DEV_VFIO_FILE_DEL", lib.KVM_DEV_VFIO_FILE_DEL, given)

    def _set_file(self, call: str, attr: int, given: int | HasFileno) -> None:
        with Descriptor(duplicate(given), "file") as file:  # stays what it is during the call
            data = ffi.new("uint8_t[]", struct.pack("=i", file.fd))
            self._core.call(
                lib.set_device_attr, call, lib.KVM_DEV_VFIO_FILE, attr, data, fd=number_of(given)
            )
