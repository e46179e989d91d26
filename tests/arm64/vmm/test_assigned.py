# SPDX-License-Identifier: Apache-2.0
"""Devices of the host in a stock Linux: data, and where each interrupt of theirs went.

All of them, in every way, are in ``python -m tests.devices``.
"""

from __future__ import annotations

import pytest

from tests.devices.kinds import KINDS
from tests.devices.life import Life, live
from tests.kvm.footprint import unchanged

pytestmark = pytest.mark.needs("vfio_group", "linux_guest")


def check_interrupts(life: Life) -> None:
    """Every interrupt that the guest's GIC saw was ended by the guest, and came from the device."""
    counts = life.counts
    assert counts["raised"] == counts["acknowledged"]
    assert 0 < counts["host"] <= counts["acknowledged"]
    assert 0 < life.guest_interrupts <= counts["acknowledged"]


def test_an_ahci_controller_and_its_disk() -> None:
    """Its registers are the guest's own: nobody hears of any."""
    kind = KINDS["ahci"]._replace(reads=500)
    with unchanged():
        life = live(kind, cpus=2)
    assert life.found, life.said
    assert (life.checksum, life.written) == (True, True), life.said
    check_interrupts(life)
    assert life.counts["register exits"] == 0
    # The console's: a guest that reads says little.
    assert life.during["exits to userspace"] < kind.reads


def test_an_ohci_controller_whose_registers_are_less_than_a_page() -> None:
    life = live(KINDS["ohci"])
    assert life.found, life.said
    check_interrupts(life)
    assert life.counts["register exits"] > 100
