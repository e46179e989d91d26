# SPDX-License-Identifier: Apache-2.0
"""Stock Linux in the minimal VMM. Each boot takes ten seconds of an emulated host: they are few."""

from __future__ import annotations

import pytest

from tests.arm64.vmm.linux import boot

pytestmark = pytest.mark.needs("linux_guest")


def test_linux_comes_up_on_two_cpus_and_switches_off() -> None:
    told = boot("nproc; grep pl011 /proc/interrupts; echo OK", "--cpus", "2")
    assert told.status == 0, told
    assert told.lines[0] == "2"
    assert "uart-pl011" in told.lines[1]
    assert told.lines[2] == "OK"
