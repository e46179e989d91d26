# SPDX-License-Identifier: Apache-2.0
"""A ring that somebody else empties: who is woken, who is given what, and what may not overtake."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable

import pytest

from pykvm import EventFd, Interrupted, KvmError, MmioWrite, Vcpu
from tests.kvm.footprint import unchanged
from tests.kvm.machines import (
    DOORBELL_GPA,
    ECHO,
    KNOCK,
    SECOND_GPA,
    STORE,
    VALUE,
    Machine,
    prepare,
)

Make = Callable[..., Machine]
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))


def kicked(vcpu: Vcpu) -> object:
    vcpu.kick()
    return vcpu.run()


def raising_once() -> tuple[list[int], Callable[..., None]]:
    """A handler of stores that raises at the first one, and the list that it numbers them in."""
    calls: list[int] = []

    def handler(*_: int) -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise ZeroDivisionError

    return calls, handler


def test_the_eventfd_tells_once_of_each_ring_that_was_empty(machine: Make) -> None:
    made = machine(KNOCK)
    with EventFd() as told, made.vm.mmio_ring(DOORBELL_GPA, 1, capacity=3, eventfd=told) as ring:
        assert told.read() == 0
        for _ in range(2):
            assert made.vcpu.run() == KNOCKED  # it is full
            assert told.read() == 1
            assert len(ring.take()) == 3
        assert made.vcpu.run() == KNOCKED
        told.close()  # the ring has its own duplicate
        ring.take()
        assert made.vcpu.run() == KNOCKED


def test_a_full_counter_stops_nobody(machine: Make) -> None:
    made = machine(KNOCK)
    with EventFd() as told:
        told.signal(2**64 - 2)
        ring = made.vm.mmio_ring(DOORBELL_GPA, 1, capacity=2, eventfd=told)
        assert made.vcpu.run() == KNOCKED
        assert len(ring.take()) == 2


def test_whoever_is_woken_gives_the_handler_what_waits(machine: Make) -> None:
    """The vCPU's thread stays in C meanwhile: nothing that the guest does ends its run."""
    made = machine(STORE)
    seen: list[tuple[int, ...]] = []
    with EventFd() as told:
        made.vm.mmio_ignore(SECOND_GPA, 1)
        ring = made.vm.mmio_ring(
            DOORBELL_GPA, 1, lambda *store: seen.append(store), eventfd=told
        )  # fmt: skip
        runner = threading.Thread(target=made.vcpu.run)
        runner.start()
        assert told.wait(60) == 1
        ring.deliver()
        assert seen == [(0, 1, VALUE)]
        ring.deliver()
        assert len(seen) == 1
        made.vcpu.kick()
        runner.join()


def test_what_a_raising_handler_left_comes_before_another_vcpus_exit(machine: Make) -> None:
    made = machine(KNOCK)
    other = made.vm.create_vcpu(1)
    prepare(other)
    calls, handler = raising_once()
    ring = made.vm.mmio_ring(DOORBELL_GPA, 1, handler, capacity=4)
    with pytest.raises(ZeroDivisionError):  # the ring was full
        made.vcpu.run()
    assert kicked(other) == Interrupted()
    assert calls == [0, 1, 2, 3]
    ring.close()
    ring.deliver()
    assert calls == [0, 1, 2, 3]


def test_so_does_what_was_left_of_kvms_own_ring(machine: Make) -> None:
    made = machine(KNOCK)
    other = made.vm.create_vcpu(1)
    prepare(other)
    calls, handler = raising_once()
    made.vm.register_coalesced_mmio(DOORBELL_GPA, 1)
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=handler)
    with pytest.raises(ZeroDivisionError):  # the ring was full
        made.vcpu.run()
    assert calls == [0]
    assert kicked(other) == Interrupted()
    assert len(calls) > 50
    before = len(calls)
    assert kicked(other) == Interrupted()
    assert len(calls) == before


def test_loads_of_a_ring(machine: Make) -> None:
    made = machine(ECHO)
    made.vm.mmio_ring(DOORBELL_GPA, 4, read={4: lambda offset, size: 0x100 * size + offset})
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, b"\0\4\0\0")


def test_a_read_only_latch_keeps_its_value(machine: Make) -> None:
    made = machine(STORE)
    latch = made.vm.mmio_latch(DOORBELL_GPA, 1, 7, read_only=True)
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, bytes([VALUE]))
    assert latch.value == 7
    made = machine(ECHO)
    latch = made.vm.mmio_latch(DOORBELL_GPA, 4, 7, read_only=True)
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, b"\7\0\0\0")
    latch.value = 0x01020304
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, b"\4\3\2\1")


def test_deliver_without_a_handler_says_so(machine: Make) -> None:
    ring = machine(KNOCK).vm.mmio_ring(DOORBELL_GPA, 1)
    with pytest.raises(ValueError, match=r"no handler: take\(\) gives what waits"):
        ring.deliver()


def test_no_descriptor_outlives_the_ring(machine: Make) -> None:
    made = machine(KNOCK)
    with unchanged(), EventFd() as told:
        ring = made.vm.mmio_ring(DOORBELL_GPA, 1, capacity=1, eventfd=told)
        made.vcpu.run()
        ring.close()
        assert made.vcpu.run() == KNOCKED
        assert told.read() == 1
        with pytest.raises(KvmError, match="overlaps"), made.vm.mmio_ignore(DOORBELL_GPA, 1):
            made.vm.mmio_ring(DOORBELL_GPA, 1, print, eventfd=told)


def test_a_ring_can_be_closed_when_what_it_was_made_of_is_gone(machine: Make) -> None:
    """The collector ends what is in a cycle in any order."""
    made = machine(KNOCK)
    with unchanged(), EventFd() as told:
        ring = made.vm.mmio_ring(DOORBELL_GPA, 1, print, eventfd=told)
        ring._queue.state = None
        ring.close()


def test_what_is_no_eventfd_is_refused(machine: Make) -> None:
    vm = machine(KNOCK).vm
    with unchanged():
        blocking = os.eventfd(0)
        try:
            with pytest.raises(ValueError, match="blocks"):
                vm.mmio_ring(DOORBELL_GPA, 1, eventfd=blocking)
        finally:
            os.close(blocking)
        with pytest.raises(ValueError, match=f"descriptor {blocking} is not open"):
            vm.mmio_ring(DOORBELL_GPA, 1, eventfd=blocking)


def test_a_forked_child_is_refused(machine: Make) -> None:
    with EventFd() as told:
        ring = machine(KNOCK).vm.mmio_ring(DOORBELL_GPA, 1, print, eventfd=told)
        if not (child := os.fork()):
            try:
                ring.deliver()
            except KvmError as refusal:
                ring.close()
                os._exit(refusal.errno or 0)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EIO
