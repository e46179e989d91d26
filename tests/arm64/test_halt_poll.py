# SPDX-License-Identifier: Apache-2.0
"""Halt polling: how long a vCPU that waits keeps its thread awake, as KVM's statistics tell."""

from __future__ import annotations

import pytest
from guests import arguments, words
from tally import wait_for

from pykvm import Cap
from tests.arm64.conftest import PATIENCE
from tests.arm64.execute import executed
from tests.arm64.spis import Tiny

CNTFRQ_EL0 = (3, 3, 14, 0, 0)
#: Each is longer than KVM's own limit, which is half a millisecond on arm64.
WAITS_PER_SECOND = 200
WAITS = 4


def polls(tiny: Tiny, max_ns: int) -> int:
    """How often the host polled while the guest waited for its timer."""
    machine = tiny("timer")
    assert machine.vm.check_extension(Cap.HALT_POLL) == 1
    machine.vm.enable_halt_poll(max_ns)
    ticks = executed(tiny, words.mrs(0, CNTFRQ_EL0)).x[0] // WAITS_PER_SECOND
    machine.set_registers(
        arguments.timer(gic_version=machine.gic_version, ticks=ticks, count=WAITS)
    )
    with machine.running():
        assert wait_for(lambda: machine.report.done, 1, PATIENCE), machine.report.failure
    with machine.vcpus[0].get_stats_fd() as statistics:
        attempted = statistics.read()["halt_attempted_poll"].value
    assert isinstance(attempted, int)
    return attempted


@pytest.mark.covers("enable HALT_POLL", "cap HALT_POLL")
def test_polling_grows_as_far_as_it_may(tiny: Tiny) -> None:
    assert polls(tiny, 2**32 - 1) > 0


def test_a_limit_of_0_means_no_polling(tiny: Tiny) -> None:
    assert polls(tiny, 0) == 0
