# SPDX-License-Identifier: Apache-2.0
"""GSI routing: which SPI a gsi leads to, as a guest counts them."""

from __future__ import annotations

import pytest
from guests import arguments
from tally import wait_for
from tinyvm import TinyVm, vgic_frames

from pykvm import VM, SpiRoute, Vgic
from tests.arm64.conftest import PATIENCE
from tests.arm64.spis import INTID, Tiny, arrives, ready, started


@pytest.mark.covers("vm KVM_SET_GSI_ROUTING")
def test_irqfds_follow_a_table_that_changes(tiny: Tiny) -> None:
    machine = started(tiny, INTID, 3)
    irqfd = machine.vm.irqfd(gsi=INTID - 32)
    with machine.running():
        ready(machine)
        irqfd.inject()
        assert arrives(machine, 1, INTID)
        machine.vm.set_gsi_routing([SpiRoute(irqfd.gsi, INTID + 1)])
        irqfd.inject()
        assert arrives(machine, 1, INTID + 1)
        machine.vm.set_gsi_routing([])
        irqfd.inject()  # is lost,
        irqfd.close()  # which KVM finds in a task of its own: close() waits for that
        machine.vm.set_gsi_routing([SpiRoute(irqfd.gsi, INTID + 2)])
        machine.vm.irqfd(gsi=irqfd.gsi).inject()
        assert arrives(machine, 1, INTID + 2)
        assert arrives(machine, 1, INTID)
        assert arrives(machine, 1, INTID + 1)


def test_intid_means_what_the_guest_sees_in_any_table(tiny: Tiny) -> None:
    machine = started(tiny, INTID, 2)
    machine.vm.set_gsi_routing([SpiRoute(INTID - 32, INTID + 1), SpiRoute(4095, INTID)])
    irqfds = [machine.vm.irqfd(intid=intid) for intid in (INTID, INTID + 1)]
    assert [irqfd.gsi for irqfd in irqfds] == [4095, INTID - 32]
    with machine.running():
        ready(machine)
        irqfds[0].inject()
        assert arrives(machine, 1, INTID)
        irqfds[1].inject()
        assert arrives(machine, 1, INTID + 1)
    with pytest.raises(ValueError, match="no gsi leads to intid 42"):
        machine.vm.irqfd(intid=42)


def test_init_overwrites_the_table(vm: VM, vgic: Vgic) -> None:
    """Then gsi 8 leads to intid 40 again, and gsi 500 nowhere."""
    vm.set_gsi_routing([SpiRoute(8, 50), SpiRoute(500, 40)])
    vgic_frames(vgic)
    vgic.init()
    with pytest.raises(ValueError, match="gsi 500 has no route"):
        vm.irqfd(gsi=500)
    assert vm.irqfd(intid=40).gsi == 8


def test_a_second_init_leaves_the_table(tiny: Tiny) -> None:
    machine = started(tiny, INTID, 2)
    assert machine.vgic is not None
    machine.vm.set_gsi_routing([SpiRoute(100, INTID + 1)])
    machine.vgic.init()
    with pytest.raises(ValueError, match="gsi 8 has no route: this VM's table has gsi 100"):
        machine.vm.irqfd(gsi=8)
    irqfd = machine.vm.irqfd(intid=INTID + 1)
    assert irqfd.gsi == 100
    with machine.running():
        ready(machine)
        irqfd.inject()
        assert arrives(machine, 1, INTID + 1)


class RoutedEarly(TinyVm):
    """Its table is set before the GIC's init()."""

    def _make_gic(self, version: int | None) -> Vgic | None:
        self.vm.set_gsi_routing([SpiRoute(8, INTID + 1)])
        return super()._make_gic(version)


def test_what_init_wrote_is_what_the_guest_gets() -> None:
    with RoutedEarly("spi") as machine:
        machine.set_registers(
            arguments.spi(gic_version=machine.gic_version, first_intid=INTID, count=2)
        )
        irqfd = machine.vm.irqfd(gsi=8)
        with machine.running():
            ready(machine)
            irqfd.inject()
            assert arrives(machine, 1, INTID)
        assert machine.report.taken(INTID + 1) == 0


def test_two_gsis_on_one_pin(tiny: Tiny) -> None:
    machine = started(tiny)
    machine.vm.set_gsi_routing([SpiRoute(3, INTID), SpiRoute(7, INTID)])
    with machine.running():
        ready(machine)
        for number, gsi in enumerate((3, 7, 3), start=1):
            with machine.vm.irqfd(gsi=gsi) as irqfd:
                irqfd.inject()
                assert arrives(machine, number)


def test_the_end_is_told_to_the_last_gsi_of_a_pin(tiny: Tiny) -> None:
    machine = started(tiny, trigger="level", ack_device=True)
    machine.vm.set_gsi_routing([SpiRoute(3, INTID), SpiRoute(7, INTID)])
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    assert irqfd.gsi == 7
    assert irqfd.resample is not None
    with machine.running(lambda exit: None):
        ready(machine)
        for number in range(1, 11):
            irqfd.inject()
            assert irqfd.resample.wait(PATIENCE) == 1
            assert arrives(machine, number)


def test_and_to_no_other(tiny: Tiny) -> None:
    """What pykvm refuses: nothing lowers the line, and the interrupt comes without end."""
    machine = started(tiny, trigger="level", ack_device=True)
    machine.vm.set_gsi_routing([SpiRoute(3, INTID), SpiRoute(7, INTID)])
    with pytest.raises(ValueError, match=r"gsi 3 shares intid 40 with gsi 7"):
        machine.vm.irqfd(gsi=3, resample=True)
    irqfd = machine.vm.irqfd(gsi=3, resample=True, allow_unrouted=True)
    assert irqfd.resample is not None
    with machine.running(lambda exit: None):
        ready(machine)
        irqfd.inject()
        assert wait_for(lambda: machine.report.ended(INTID), 50, PATIENCE)
        assert irqfd.resample.read() == 0
        irqfd.close()  # lowers it


def test_a_full_table(vm: VM, vgic: Vgic) -> None:
    vgic_frames(vgic)
    vgic.init()
    vm.set_gsi_routing(SpiRoute(gsi, 32 + gsi % 988) for gsi in range(4096))
    assert vm.irqfd(gsi=4095, resample=True).gsi == 4095
    vm.set_gsi_routing([])
    with pytest.raises(ValueError, match="gsi 0 has no route"):
        vm.irqfd(gsi=0)
