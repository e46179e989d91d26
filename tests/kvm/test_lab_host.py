# SPDX-License-Identifier: Apache-2.0
"""What every test on an emulated host relies on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.guest.agent import runs_in_el2


@pytest.mark.needs("lab")
def test_no_vm_is_ever_the_first_or_last_of_a_host_with_vhe() -> None:
    """Its agent holds one: with KVM's switches in its scheduler rewritten, QEMU may miss one."""
    holds = "anon_inode:kvm-vm" in map(os.readlink, Path("/proc/1/fd").iterdir())
    assert holds == runs_in_el2()
