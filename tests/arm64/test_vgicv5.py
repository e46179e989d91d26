# SPDX-License-Identifier: Apache-2.0
"""VgicV5: what there is to prove on hosts that have no GICv5."""

from __future__ import annotations

import errno

import pytest

from pykvm import VM, DeviceType
from tests.arm64.conftest import refused


@pytest.mark.covers("attr VGIC_V5 CTRL INIT", "attr VGIC_V5 CTRL USERSPACE_PPIS", refused="ENODEV")
def test_no_host_here_makes_one(vm: VM) -> None:
    assert not vm.has_device(DeviceType.ARM_VGIC_V5)
    with refused(errno.ENODEV, "KVM_CREATE_DEVICE"):
        vm.create_device(DeviceType.ARM_VGIC_V5)
    assert vm.create_vgic().version in (2, 3), "what was refused left nothing"
