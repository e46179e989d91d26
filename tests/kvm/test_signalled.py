# SPDX-License-Identifier: Apache-2.0
"""Signals' handlers at each place where Python may call them: nothing is lost, nothing is torn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykvm import Interrupted
from pykvm._bus import CoalescedQueue, Intake, RingQueue
from tests.kvm.machines import DOORBELL_GPA, KNOCK, Machine
from tests.kvm.signalled import everywhere

Make = Callable[..., Machine]


@pytest.mark.parametrize("kernels", [False, True], ids=["own ring", "KVM's ring"])
def test_a_ring_that_is_emptied_while_it_is_emptied(machine: Make, kernels: bool) -> None:
    """Who goes on then finds nothing left."""
    made = machine(KNOCK)
    stores = 0

    def write(*_: int) -> None:
        nonlocal stores
        stores += 1
        made.vcpu.kick()

    deliver: Callable[[], object]
    if kernels:
        made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)
        made.vm.mmio_handler(DOORBELL_GPA, 1, write=write)
        deliver = made.vcpu.drain_coalesced_mmio
    else:
        deliver = made.vm.mmio_ring(DOORBELL_GPA, 1, write, capacity=3).deliver

    def run() -> None:
        before = stores
        assert made.vcpu.run() == Interrupted()
        assert stores - before > 3

    functions = RingQueue.deliver, RingQueue._fetch, CoalescedQueue.deliver, Intake.move
    assert everywhere(run, deliver, *functions, most=30) > 10
