# SPDX-License-Identifier: Apache-2.0
"""What every test on an emulated host relies on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.mark.needs("lab")
def test_no_vm_is_ever_the_hosts_first_or_last() -> None:
    """Its agent holds one: with KVM's switches in its scheduler rewritten, QEMU may miss one."""
    assert "anon_inode:kvm-vm" in map(os.readlink, Path("/proc/1/fd").iterdir())
