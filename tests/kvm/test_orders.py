# SPDX-License-Identifier: Apache-2.0
"""Two threads at the same object, one of them stopped before each bytecode in turn.

Without a GIL any of these orders may happen; with one, some never do.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator

import pytest

from pykvm import VM, ClosedError, CoalescedMmio, Irqfd, Kvm, MmioWrite, Vcpu
from pykvm._descriptor import Descriptor
from pykvm.coalesced import VmCoalescedMmio
from pykvm.irqfd import _bound, _forget
from pykvm.mmio import MmioRing
from pykvm.routing import RoutingShadow, SpiRoute
from tests.kvm.machines import DOORBELL_GPA, SECOND_GPA, SPIN, STORE, VALUE, Machine
from tests.kvm.steps import Stepped
from tests.kvm.threads import Worker

pytestmark = pytest.mark.binding

Make = Callable[..., Machine]


def _stops(
    prepare: Callable[[], Callable[[], object]],
    *functions: Callable[..., object],
    check: Callable[[], object] = lambda: None,
) -> Iterator[Stepped]:
    """A thread in a fresh ``prepare()``, before each bytecode of the functions in turn.

    Then it goes on to its end, and ``check`` is called.
    """
    codes = {function.__code__ for function in functions}
    alone = Stepped(prepare(), codes)
    alone.finish()
    assert alone.steps
    for place in range(1, alone.steps + 1):
        stopped = Stepped(prepare(), codes, place)
        yield stopped
        stopped.finish()
        check()


def test_a_descriptor_is_closed_once() -> None:
    """A number that was given to somebody else meanwhile stays theirs."""
    made = Descriptor(-1, "null")
    strangers: list[int] = []

    def prepare() -> Callable[[], object]:
        nonlocal made
        made = Descriptor(os.open(os.devnull, os.O_RDONLY), "null")
        return made.close

    def check() -> None:
        while strangers:
            os.close(strangers.pop())

    for _ in _stops(prepare, Descriptor.close, check=check):
        made.close()
        assert made.fd == -1
        strangers.append(os.open(os.devnull, os.O_RDONLY))


def test_a_table_that_is_forgotten_while_a_gsi_is_looked_up() -> None:
    shadow = RoutingShadow()
    table = {3: SpiRoute(3, 35)}

    def look() -> None:
        shadow.check(3, resample=True)
        assert shadow.gsi_of(35) == 3

    def prepare() -> Callable[[], object]:
        shadow.set(table)
        return look

    for _ in _stops(
        prepare, RoutingShadow.check, RoutingShadow.gsi_of, RoutingShadow._check_resample
    ):
        shadow.forget()


def test_a_ring_that_two_threads_close(machine: Make) -> None:
    vm = machine(SPIN).vm
    ring: MmioRing

    def prepare() -> Callable[[], object]:
        nonlocal ring
        ring = vm.mmio_ring(DOORBELL_GPA, 1, lambda *_: None)
        return ring.close

    for _ in _stops(prepare, MmioRing.close, MmioRing._let_go):
        ring.close()
        assert vm._core.bus.queues == []


def test_a_vcpu_whose_view_is_released_while_two_threads_close_it(kvm: Kvm) -> None:
    vcpu: Vcpu
    view: memoryview
    vms: list[VM] = []
    others: list[Worker] = []

    def close() -> None:
        with contextlib.suppress(BufferError):
            vcpu.close()

    def prepare() -> Callable[[], object]:
        nonlocal vcpu, view
        vms.append(kvm.create_vm())  # a VM never has room again for a vCPU that was closed
        vcpu = vms[-1].create_vcpu(0)
        view = vcpu.kvm_run
        return close

    def check() -> None:
        while others:
            others.pop().join()
            assert vcpu.closed
            with pytest.raises(ClosedError):
                vcpu.kick()
            vms.pop().close()

    for _ in _stops(prepare, Vcpu.close, Vcpu._close, check=check):
        view.release()
        others.append(Worker(vcpu.close))
        others[0].let_go_on()
    vms.pop().close()  # the first one's, which nobody was stopped in


def test_a_dead_claim_on_an_eventfd_is_removed_once() -> None:
    """Who is late must not remove the claim of whoever was quicker."""

    class Owner:
        pass

    identity, heir = -1, Owner()
    claim: weakref.ref[Irqfd] = weakref.ref(heir)  # type: ignore[arg-type]
    others: list[Worker] = []

    def prepare() -> Callable[[], object]:
        dead: weakref.ref[Irqfd] = weakref.ref(Owner())  # type: ignore[arg-type]
        _bound[identity] = dead
        return lambda: _forget(identity, dead)

    def replace() -> None:
        if dead := _bound.get(identity):
            _forget(identity, dead)
        _bound[identity] = claim

    def check() -> None:
        while others:
            others.pop().join()
            assert _bound[identity] is claim

    try:
        for _ in _stops(prepare, _forget, check=check):
            others.append(Worker(replace))
            others[0].let_go_on()
    finally:
        _bound.pop(identity, None)


def test_a_guest_that_runs_while_its_stores_begin_to_wait(machine: Make) -> None:
    """No exit comes before a store that the guest made earlier."""
    made: Machine
    stores: list[int] = []

    def prepare() -> Callable[[], object]:
        nonlocal made
        made = machine(STORE)
        made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *store: stores.append(store[2]))
        return lambda: made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)

    functions = VmCoalescedMmio.register_coalesced_mmio, CoalescedMmio.__init__
    for _ in _stops(prepare, *functions, check=lambda: made.close()):
        assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE]))
        assert stores == [VALUE]
        stores.clear()
