# SPDX-License-Identifier: Apache-2.0
"""Statistics: each counter of a vCPU against what its guest really did."""

from __future__ import annotations

from guests import layout, words
from tally import wait_for

from pykvm import Exit, MmioRead, Statistics, SystemEvent
from tests.arm64.conftest import PATIENCE
from tests.arm64.execute import loaded
from tests.arm64.spis import Tiny


def counted(statistics: Statistics, *names: str) -> list[object]:
    found = statistics.read()
    return [found[name].value for name in names]


def test_stores_and_loads_that_leave_the_guest(tiny: Tiny) -> None:
    machine = loaded(
        tiny, words.str_(0, 1), words.str_(0, 1), words.ldr(0, 1, 8), x=(7, layout.ECHO_GPA)
    )
    statistics = machine.vcpus[0].get_stats_fd()
    exits: list[Exit] = []
    assert isinstance(machine.run(exits.append), SystemEvent)
    assert [type(exit) is MmioRead for exit in exits] == [False, False, True]
    assert counted(statistics, "mmio_exit_user", "mmio_exit_kernel") == [3, 0]


def test_stores_that_the_kernel_takes(tiny: Tiny) -> None:
    machine = loaded(tiny, words.str_(0, 1), words.str_(0, 1), x=(7, layout.DOORBELL_GPA))
    statistics = machine.vcpus[0].get_stats_fd()
    with machine.vm.ioeventfd(layout.DOORBELL_GPA, 8) as bell:
        machine.run()
        assert bell.eventfd.read() == 2
    assert counted(statistics, "mmio_exit_user", "mmio_exit_kernel") == [0, 2]


def test_hypercalls(tiny: Tiny) -> None:
    machine = loaded(tiny, *[words.hvc()] * 3, x=(0x84000000,))
    statistics = machine.vcpus[0].get_stats_fd()
    machine.run()
    hypercalls, exits = counted(statistics, "hvc_exit_stat", "exits")
    assert hypercalls == 4, "three, and SYSTEM_OFF"
    assert isinstance(exits, int)
    assert exits >= 4


def test_waiting_for_an_interrupt_and_a_kick(tiny: Tiny) -> None:
    machine = loaded(tiny, words.WFI)
    statistics = machine.vcpus[0].get_stats_fd()
    with machine.running():
        assert wait_for(lambda: counted(statistics, "wfi_exit_stat") == [1], True, PATIENCE)
        assert wait_for(lambda: counted(statistics, "blocking") == [1], True, PATIENCE)
    assert counted(statistics, "wfi_exit_stat", "signal_exits", "blocking") == [1, 1, 0]


def test_each_vcpu_has_its_own(tiny: Tiny) -> None:
    machine = loaded(tiny, words.hvc(), cpus=2)
    first, second = (vcpu.get_stats_fd() for vcpu in machine.vcpus)
    machine.run()
    assert counted(first, "hvc_exit_stat") == [2]
    assert counted(second, "hvc_exit_stat", "exits") == [0, 0]
