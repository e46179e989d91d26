# SPDX-License-Identifier: Apache-2.0
"""PCI devices that cannot be: what is asked of sysfs before any device is opened."""

from __future__ import annotations

import pytest
from minivmm import options
from minivmm.endings import BadInput
from minivmm.vfio.assign import Wanted, mappable
from minivmm.vfio.device import Region
from minivmm.vfio.host import HostDevice


@pytest.mark.parametrize("address", ["0000:ff:1f.7", "00:02.0", "../../x", "", "0000:00:02.0/x"])
def test_no_such_device(address: str) -> None:
    with pytest.raises(BadInput, match="this host has no such PCI device"):
        HostDevice(address)


def test_the_option() -> None:
    given = options.parse(["kernel", "--device", "0000:00:02.0", "--device", "0000:00:03.0,trap"])
    assert given.device == [Wanted("0000:00:02.0"), Wanted("0000:00:03.0", "trap")]
    with pytest.raises(BadInput, match="give ADDRESS, ADDRESS,direct or"):
        options.parse(["kernel", "--device", "0000:00:02.0,often"])


def test_only_whole_pages_of_any_host_can_be_shown() -> None:
    page = 1 << 16
    areas = (range(256), range(page, 3 * page), range(3 * page + 512, 4 * page))
    assert mappable(Region(4 * page, 0, areas)) == [range(page, 3 * page)]
    assert mappable(Region(256, 0, ())) == []
