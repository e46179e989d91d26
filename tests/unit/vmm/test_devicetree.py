# SPDX-License-Identifier: Apache-2.0
"""The device tree of the minimal VMM."""

from __future__ import annotations

import subprocess

import fdt
import pytest
from minivmm import devicetree
from minivmm.devicetree import Board
from minivmm.gic import Gic

V2 = Gic(2, [], False)
V3 = Gic(3, [(0x80A_0000, 4)], False)
ITS = Gic(3, [(0x80A_0000, 123), (0x1000_0000, 2)], True)
BOARD = Board(
    ram=range(0x4000_0000, 0x1_4000_0000), affinities=[0, 1, 2, 0x100], gic=V3, has_pmu=True,
    virtio_slots=[0, 1, 31], command_line="quiet", initrd=range(0x5000_0000, 0x5000_0101),
    seed=bytes(range(64)),
)  # fmt: skip


@pytest.mark.parametrize("gic", [V2, V3, ITS], ids=["v2", "v3", "its"])
@pytest.mark.parametrize("uart", ["pl011", "16550"])
def test_dtc_has_nothing_to_say(gic: Gic, uart: str) -> None:
    done = subprocess.run(
        ["dtc", "-I", "dtb", "-O", "dts"],
        input=devicetree.build(BOARD._replace(gic=gic, uart=uart)),
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr.decode() == ""


@pytest.mark.parametrize("words", ["", "a=\"b c\"  d='e'", "naïve \t…", "\udcff\udc80"])
def test_the_command_line_goes_in_exactly(words: str) -> None:
    tree = devicetree.build(BOARD._replace(command_line=words))
    assert words.encode("utf-8", "surrogateescape") + b"\0" in tree


def test_what_the_guest_is_told() -> None:
    tree = fdt.parse_dtb(devicetree.build(BOARD._replace(gic=ITS)))

    def words(path: str, name: str) -> list[int]:
        return list(tree.get_property(name, path))

    assert words("/memory@40000000", "reg") == [0, 0x4000_0000, 1, 0]
    assert [node.name for node in tree.get_node("/cpus").nodes] == [
        "cpu@0", "cpu@1", "cpu@2", "cpu@100",
    ]  # fmt: skip
    assert words("/chosen", "linux,initrd-end") == [0, 0x5000_0101]
    assert tree.get_property("stdout-path", "/chosen").value == "/serial@9000000"
    gic = "/interrupt-controller@8000000"
    assert words(gic, "reg")[4:] == [0, 0x80A_0000, 0, 123 << 17, 0, 0x1000_0000, 0, 2 << 17]
    assert words(gic, "#redistributor-regions") == [2]
    assert words("/pmu", "interrupts") == [1, 7, 4]
    assert words("/virtio_mmio@a003e00", "interrupts") == [0, 16 + 31, 1]
    assert words("/serial@9000000", "interrupts") == [0, 1, 4]


def test_a_gicv2_is_told_which_cpus_a_timer_has() -> None:
    tree = fdt.parse_dtb(devicetree.build(BOARD._replace(gic=V2)))
    assert list(tree.get_property("interrupts", "/timer"))[2] == 0xF08
