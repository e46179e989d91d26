# SPDX-License-Identifier: Apache-2.0
"""Statistics of VMs and vCPUs: what every host counts, and whose they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import pytest

from pykvm import (
    VM,
    Cap,
    ClosedError,
    Interrupted,
    Statistic,
    StatisticKind,
    StatisticUnit,
)
from tests.kvm.footprint import unchanged
from tests.kvm.machines import ARM64, IDLE, KNOCK, Machine
from tests.kvm.processes import forked
from tests.kvm.threads import wait_until, workers

Make = Callable[..., Machine]
_MMIO_EXITS = "mmio_exit_user" if ARM64 else "mmio_exits"


@pytest.mark.covers("vm KVM_GET_STATS_FD", "cap BINARY_STATS_FD")
def test_a_vm_and_its_vcpus_have_statistics_of_their_own(vm: VM) -> None:
    assert vm.check_extension(Cap.BINARY_STATS_FD) == 1
    own = vm.get_stats_fd()
    first, second = (vm.create_vcpu(number).get_stats_fd() for number in (1, 0))
    of_process = f"kvm-{os.getpid()}"
    assert own.id == of_process
    assert (first.id, second.id) == (f"{of_process}/vcpu-1", f"{of_process}/vcpu-0")
    assert "remote_tlb_flush" in own.read()
    assert "exits" not in own.read()
    assert {"exits", _MMIO_EXITS, "signal_exits"} <= set(first.read())
    assert "remote_tlb_flush" not in first.read()


def test_life(vm: VM) -> None:
    with unchanged():
        statistics = vm.get_stats_fd()
        assert os.readlink(f"/proc/self/fd/{statistics.fileno()}").startswith("anon_inode:kvm-vm-s")
        assert not os.get_inheritable(statistics.fileno())
        statistics.close()
        statistics.close()
        assert statistics.closed
        with pytest.raises(ClosedError, match="this Statistics is closed"):
            statistics.read()
    with unchanged():
        vm.get_stats_fd()  # dropped
    assert repr(statistics) == f"<Statistics kvm-{os.getpid()} closed>"


def test_they_end_with_what_they_are_of(vm: VM) -> None:
    with unchanged():
        vcpu = vm.create_vcpu(0)
        statistics = vcpu.get_stats_fd(), vcpu.get_stats_fd()
        vcpu.close()
        assert [each.closed for each in statistics] == [True, True]
    own, of_vcpu = vm.get_stats_fd(), vm.create_vcpu(1).get_stats_fd()
    assert not of_vcpu.closed, "nobody holds its vCPU any more, but nobody closed it either"
    vm.close()
    assert own.closed


def test_what_was_read_stays_as_it_was(machine: Make) -> None:
    made = machine(KNOCK)
    statistics = made.vcpu.get_stats_fd()
    before = statistics.read()
    kept = dict(before)
    made.vcpu.run()
    assert before == kept
    assert statistics.read() != kept
    with pytest.raises(TypeError):
        before["exits"] = kept["exits"]  # type: ignore[index]


@pytest.mark.covers("vcpu KVM_GET_STATS_FD")
def test_exits_are_counted(machine: Make) -> None:
    made = machine(KNOCK)
    with made.vcpu.get_stats_fd() as statistics:
        before = statistics.read()
        for _ in range(5):
            made.vcpu.run()
        after = statistics.read()
    assert _grown(before, after, _MMIO_EXITS) == 5
    assert _grown(before, after, "exits") >= 5
    assert after["exits"][1:] == (StatisticKind.CUMULATIVE, StatisticUnit.NONE, 10, 0, 0)


def _grown(before: Mapping[str, Statistic], after: Mapping[str, Statistic], name: str) -> int:
    first, second = before[name].value, after[name].value
    assert isinstance(first, int)
    assert isinstance(second, int)
    return second - first


def test_a_vcpu_that_waits_is_seen_from_outside(machine: Make) -> None:
    vcpu = machine(IDLE).vcpu
    statistics = vcpu.get_stats_fd()
    seen: list[object] = []
    with workers(lambda: seen.append(vcpu.run())):
        wait_until(lambda: statistics.read()["blocking"].value == 1)
        vcpu.kick()
    assert seen == [Interrupted()]
    found = statistics.read()
    assert found["blocking"] == (0, StatisticKind.INSTANT, StatisticUnit.BOOLEAN, 10, 0, 0)
    waits = found["halt_wait_hist"]
    assert waits[1:] == (StatisticKind.LOG_HIST, StatisticUnit.SECONDS, 10, -9, 0)
    assert isinstance(waits.value, tuple)
    assert sum(waits.value) >= 1


def test_a_forked_child_can_read_them(vm: VM) -> None:
    """It is a file like any other; the call that makes one is refused there as every call is."""
    statistics = vm.create_vcpu(0).get_stats_fd()
    assert forked(lambda: statistics.read()["exits"].value) == 0
