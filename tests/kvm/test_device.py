# SPDX-License-Identifier: Apache-2.0
"""Device: making, asking for attributes, closing. The one that every host has is VFIO's."""

from __future__ import annotations

import errno
import os

import pytest

from pykvm import VM, ClosedError, DeviceType, Kvm, KvmBusyError, KvmError, KvmExistsError, Vfio
from tests.kvm.footprint import unchanged

#: KVM_DEV_VFIO_FILE and its KVM_DEV_VFIO_FILE_ADD; the value is a descriptor.
_FILE, _ADD = 1, 1
_NO_SUCH_TYPE = 999


@pytest.mark.covers("vm KVM_CREATE_DEVICE")
def test_life(vm: VM) -> None:
    with unchanged():
        device = vm.create_device(DeviceType.VFIO)
        assert type(device) is Vfio
        assert device.type == DeviceType.VFIO
        assert os.readlink(f"/proc/self/fd/{device.fileno()}") == "anon_inode:kvm-vfio"
        device.close()
        device.close()
        assert device.closed
    assert repr(device) == "<Vfio closed>"


def test_one_vfio_to_a_vm_which_ends_with_its_descriptor(vm: VM) -> None:
    first = vm.create_device(DeviceType.VFIO)
    with unchanged(), pytest.raises(KvmBusyError, match=r"KVM_CREATE_DEVICE\(type='VFIO'\)"):
        vm.create_device(DeviceType.VFIO)
    first.close()
    vm.create_device(DeviceType.VFIO).close()


def test_what_a_host_could_make(vm: VM) -> None:
    with unchanged():
        assert vm.has_device(DeviceType.VFIO)
        assert vm.has_device(4)
        assert not vm.has_device(DeviceType.ARM_PV_TIME)
        assert not vm.has_device(_NO_SUCH_TYPE)
    with unchanged(), pytest.raises(KvmError, match=r"KVM_CREATE_DEVICE\(type=999\).*ENODEV"):
        vm.create_device(_NO_SUCH_TYPE)


def test_attributes(vm: VM) -> None:
    with vm.create_device(DeviceType.VFIO) as device, unchanged():
        assert device.has_device_attr(_FILE, _ADD)
        assert not device.has_device_attr(_FILE, 99)
        assert not device.has_device_attr(99, 0)
        with pytest.raises(KvmError, match=r"KVM_SET_DEVICE_ATTR\(group=1, attr=1\).*EBADF"):
            device.set_device_attr(_FILE, _ADD, (2**31 - 1).to_bytes(4, "little"))
        with pytest.raises(KvmError, match=r"KVM_SET_DEVICE_ATTR.*ENXIO.*no such attribute"):
            device.set_device_attr(99, 0, bytes(4))
        with pytest.raises(KvmError, match=r"KVM_GET_DEVICE_ATTR"):
            device.get_device_attr(_FILE, _ADD, bytes(4))


def test_a_short_value_is_padded_and_nothing_beyond_is_read(vm: VM) -> None:
    """Descriptor 0, from no bytes at all: it is open, and no VFIO file."""
    with vm.create_device(DeviceType.VFIO) as device, pytest.raises(KvmError) as caught:
        device.set_device_attr(_FILE, _ADD, b"")
    assert caught.value.errno != errno.EBADF


def test_after_close_of_the_vm(kvm: Kvm) -> None:
    with unchanged():
        vm = kvm.create_vm()
        device = vm.create_device(DeviceType.VFIO)
        make = vm.create_device
        vm.close()
        assert device.closed
        with pytest.raises(ClosedError, match="this Vfio is closed"):
            device.has_device_attr(1, 1)
        with pytest.raises(ClosedError, match="KVM_CREATE_DEVICE: this VM is closed"):
            make(DeviceType.VFIO)


@pytest.mark.needs("arm64")
def test_one_gic_to_a_vm_which_stays_without_its_descriptor(vm: VM) -> None:
    with vm.create_vgic() as vgic:
        pass
    with unchanged(), pytest.raises(KvmExistsError, match="can have only one"):
        vm.create_vgic(vgic.version)
