# SPDX-License-Identifier: Apache-2.0
"""Vfio: which files KVM takes, and keeps."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from pykvm import VM, DeviceType, EventFd, KvmError, KvmExistsError, KvmNotFoundError, Vfio
from tests.kvm.footprint import unchanged
from tests.vfio import group

needs_group = pytest.mark.needs("vfio_group")


@pytest.fixture
def vfio(vm: VM) -> Iterator[Vfio]:
    with vm.create_vfio() as vfio:
        yield vfio


@pytest.fixture
def group_fd() -> Iterator[int]:
    path = group()
    assert path is not None
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_create_device_makes_the_same_object(vm: VM) -> None:
    with vm.create_device(DeviceType.VFIO) as device:
        assert type(device) is Vfio


def test_what_is_no_file_of_vfios(vfio: Vfio) -> None:
    with unchanged(), EventFd() as other:
        with pytest.raises(KvmError, match=r"KVM_DEV_VFIO_FILE_ADD\(fd=\d+\).*EINVAL.*/dev/vfio/N"):
            vfio.file_add(other)
        with pytest.raises(KvmNotFoundError, match=r"KVM_DEV_VFIO_FILE_DEL.*does not have"):
            vfio.file_del(other)
        with pytest.raises(ValueError, match="is not open"):
            vfio.file_add(2**31 - 1)


@needs_group
@pytest.mark.covers("attr VFIO FILE_ADD", "attr VFIO FILE_DEL")
def test_a_group_is_added_once_and_taken_back(vfio: Vfio, group_fd: int) -> None:
    for _ in range(2):
        vfio.file_add(group_fd)
        with pytest.raises(KvmExistsError, match="has that file already"):
            vfio.file_add(group_fd)
        again = os.dup(group_fd)
        vfio.file_del(again)
        os.close(again)
        with pytest.raises(KvmNotFoundError, match="does not have that file"):
            vfio.file_del(group_fd)


@needs_group
def test_kvm_keeps_the_group_until_the_device_is_closed(vm: VM, vfio: Vfio) -> None:
    """VFIO opens a group once at a time, so that shows whether anybody has it."""
    path = group()
    assert path is not None
    mine = os.open(path, os.O_RDWR)
    vfio.file_add(mine)
    os.close(mine)
    with pytest.raises(OSError, match="busy") as caught:
        os.open(path, os.O_RDWR)
    assert caught.value.errno == errno.EBUSY
    vfio.close()
    os.close(os.open(path, os.O_RDWR))
    with vm.create_vfio() as another, unchanged():
        mine = os.open(path, os.O_RDWR)
        another.file_add(mine)
        another.file_del(mine)
        os.close(mine)
