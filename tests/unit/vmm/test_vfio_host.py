# SPDX-License-Identifier: Apache-2.0
"""PCI devices that cannot be: what is asked of sysfs before any device is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from minivmm import options
from minivmm.endings import BadInput
from minivmm.vfio import Wanted
from minivmm.vfio.assign import _Trapped, mappable
from minivmm.vfio.device import Region, VfioDevice
from minivmm.vfio.host import HostDevice, users

PROGRAM = Path(__file__).resolve().parents[3] / "examples" / "assign_device.py"


@pytest.mark.parametrize("address", ["0000:ff:1f.7", "00:02.0", "../../x", "", "0000:00:02.0/x"])
def test_no_such_device(address: str) -> None:
    with pytest.raises(BadInput, match="this host has no such PCI device"):
        HostDevice(address)


def test_the_option() -> None:
    given = options.parse(["kernel", "--device", "0000:00:02.0", "--device", "0000:00:03.0,trap"])
    assert given.device == [Wanted("0000:00:02.0"), Wanted("0000:00:03.0", "trap")]
    with pytest.raises(BadInput, match="give ADDRESS, ADDRESS,direct or"):
        options.parse(["kernel", "--device", "0000:00:02.0,often"])
    with pytest.raises(BadInput, match=r"--device 0000:00:02\.0: given twice"):
        options.parse(["kernel", "--device", "0000:00:02.0", "--device", "0000:00:02.0,trap"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("kernel", "--device is missing: --list names this host's"),
        ("kernel --device 0000:ff:1f.7", "--device 0000:ff:1f.7: this host has no such PCI device"),
        ("kernel --device 0000:00:00.0,how", "give ADDRESS, ADDRESS,direct or ADDRESS,trap"),
    ],
)
def test_the_program_says_it_in_one_line(words: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, *words.split()],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("assign_device: ")
    assert said in done.stderr


def test_who_has_a_node_open(tmp_path: Path) -> None:
    node = tmp_path / "node"
    with open(node, "w"), open(node):
        assert [each.split()[0] for each in users(node)] == [str(os.getpid())]
    assert users(node) == []


def test_only_whole_pages_of_any_host_can_be_shown() -> None:
    page = 1 << 16
    areas = (range(256), range(page, 3 * page), range(3 * page + 512, 4 * page))
    assert mappable(Region(4 * page, 0, areas)) == [range(page, 3 * page)]
    assert mappable(Region(256, 0, ())) == []


def test_registers_of_a_device_that_is_gone_read_as_ones() -> None:
    far, near = os.pipe()  # neither has an offset: each access fails
    device = VfioDevice.__new__(VfioDevice)
    device._fd = near
    registers = _Trapped(device, Region(64, 0, ()), 0)
    assert [registers.read(0, size) for size in (1, 4, 8)] == [0xFF, 2**32 - 1, 2**64 - 1]
    registers.write(0, 4, 1)
    for fd in far, near:
        os.close(fd)
