# SPDX-License-Identifier: Apache-2.0
"""The minimal VMM goes around kernels that lose ends of interrupts, and around no others."""

from __future__ import annotations

import pytest
from minivmm import gic
from minivmm.vfio import Wanted
from minivmm.vfio.lostends import Way, around, loses_ends

from pykvm import VM, Kvm

AUTO, DIRECT = Wanted("0000:00:01.0"), Wanted("0000:00:02.0", "direct")


def test_a_way_is_taken_where_it_is_needed(vm: VM) -> None:
    controller = gic.choose(vm, None, 2)
    with Kvm() as kvm:
        way = around(kvm, vm, controller, None, [AUTO, DIRECT])
        lost = controller.version == 3 and loses_ends(kvm)
        assert around(kvm, vm, controller, None, [DIRECT]) == Way(controller, [DIRECT])
        assert around(kvm, vm, controller, None, []) == Way(controller, [])
    if not lost:
        assert way == Way(controller, [AUTO, DIRECT])
    elif gic.has(vm, "2"):
        assert (way.controller.version, way.wanted) == (2, [AUTO, DIRECT])
    else:
        assert way.controller == controller
        assert way.wanted == [AUTO._replace(registers="trap"), DIRECT]
        assert "loses ends of interrupts" in way.note


@pytest.mark.needs("vgicv3")
def test_a_gic_that_was_asked_for_stays(vm: VM) -> None:
    controller = gic.choose(vm, "3", 2)
    with Kvm() as kvm:
        way = around(kvm, vm, controller, "3", [AUTO])
        assert way.controller == controller
        assert (way.wanted[0].registers == "trap") == loses_ends(kvm) == bool(way.note)
