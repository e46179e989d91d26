# SPDX-License-Identifier: Apache-2.0
"""VcpuThread: a vCPU in a thread, its end, and who is told what went wrong."""

from __future__ import annotations

import asyncio
import gc
import select
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from pykvm import ClosedError, Exit, Interrupted, KvmError, MmioRead, MmioWrite, VcpuThread
from tests.kvm.footprint import unchanged
from tests.kvm.machines import (
    DOORBELL_GPA,
    ECHO,
    IDLE,
    KNOCK,
    SECOND_GPA,
    SPIN,
    STORE,
    VALUE,
    Guest,
    Machine,
)
from tests.kvm.processes import PATIENCE, forked, python
from tests.kvm.threads import Gate, is_inside, wait_until, workers

pytestmark = pytest.mark.binding

Make = Callable[..., Machine]
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))
both = pytest.mark.parametrize("guest", [SPIN, IDLE], ids=["spinning", "asleep"])


@both
def test_it_runs_until_it_is_stopped(machine: Make, guest: Guest) -> None:
    vcpu = machine(guest).vcpu
    with unchanged():
        thread = VcpuThread(vcpu)
        wait_until(lambda: is_inside(vcpu))
        assert not thread.ended
        with pytest.raises(TimeoutError, match="has not ended within 0 s"):
            thread.join(0)
        assert thread.stop() == thread.stop() == thread.join() == Interrupted()
        assert thread.ended
        assert not thread.closed
        thread.close()
        thread.close()
        assert thread.closed
        assert thread.join() == Interrupted()
        with pytest.raises(ClosedError):
            thread.fileno()
    vcpu.kick()
    assert vcpu.run() == Interrupted()


@both
def test_with_stops_it(machine: Make, guest: Guest) -> None:
    vcpu = machine(guest).vcpu
    for _ in range(50):
        with VcpuThread(vcpu) as thread:
            pass
        assert thread.join() == Interrupted()


def test_without_a_handler_the_first_exit_ends_it(machine: Make) -> None:
    made = machine(STORE)
    with VcpuThread(made.vcpu) as thread:
        assert thread.join(PATIENCE) == KNOCKED
    made.vm.mmio_ignore(SECOND_GPA, 1)
    made.vcpu.kick()
    assert made.vcpu.run() == Interrupted()


def test_it_goes_on_while_the_handler_returns_none(machine: Make) -> None:
    seen: list[Exit] = []

    def handler(exit: Exit) -> object:
        seen.append(exit)
        return "enough" if len(seen) == 3 else None

    with VcpuThread(machine(KNOCK).vcpu, handler) as thread:
        assert thread.join(PATIENCE) == KNOCKED
    assert seen == [KNOCKED] * 3


def test_somebody_else_s_kick_is_an_exit(machine: Make) -> None:
    vcpu = machine(SPIN).vcpu
    seen: list[Exit] = []
    with VcpuThread(vcpu, seen.append):
        vcpu.kick()
        wait_until(lambda: seen == [Interrupted()])
    assert seen == [Interrupted()], "stop()'s own is not told"


def test_an_exception_reaches_whoever_joins(machine: Make) -> None:
    made = machine(KNOCK)
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: 1 // 0)
    thread = VcpuThread(made.vcpu)
    for call in thread.join, thread.stop, lambda: asyncio.run(_awaited(thread)):
        with pytest.raises(ZeroDivisionError):
            call()
    thread.close()  # told already
    with pytest.raises(ZeroDivisionError), VcpuThread(made.vcpu) as thread:
        wait_until(lambda: thread.ended)
    with pytest.raises(ZeroDivisionError):
        made.vcpu.run()


async def _awaited(thread: VcpuThread) -> Exit:
    return await thread


def test_an_exception_that_nobody_was_told_is_printed() -> None:
    said = python(
        "from tests.kvm.machines import KNOCK, Machine\n"
        "from pykvm import VcpuThread\n"
        "with Machine(KNOCK) as machine:\n"
        "    thread = VcpuThread(machine.vcpu, lambda exit: 1 // 0)\n"
        "    thread._thread.join()\n"
        "    del thread\n"
    )
    assert "Exception ignored " in said
    assert "ZeroDivisionError" in said


def test_stop_waits_no_longer_than_told(machine: Make) -> None:
    made = machine(KNOCK)
    gate = Gate()
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: gate.pass_through())
    thread = VcpuThread(made.vcpu)
    gate.wait()
    with pytest.raises(TimeoutError, match=r"<VcpuThread running .* has not ended within 0.01 s"):
        thread.stop(0.01)
    gate.open()
    assert thread.join(PATIENCE) == Interrupted()


@pytest.mark.parametrize("how", ["exits", "raises"])
def test_stop_leaves_no_kick_behind(machine: Make, how: str) -> None:
    """It kicks a vCPU that leaves by itself just then; the next run must not find that."""
    made = machine(ECHO)
    gate = Gate()

    def handler(exit: Exit) -> object:
        gate.pass_through()
        if how == "raises":
            raise ZeroDivisionError
        return exit

    thread = VcpuThread(made.vcpu, handler)
    gate.wait()
    with pytest.raises(TimeoutError):
        thread.stop(0)
    gate.open()
    if how == "raises":
        with pytest.raises(ZeroDivisionError):
            thread.join(PATIENCE)
    else:
        assert thread.join(PATIENCE) == MmioRead(DOORBELL_GPA, 4)
    made.vcpu.mmio_reply(5)
    assert made.vcpu.run() == MmioWrite(SECOND_GPA, b"\5\0\0\0")


def test_a_handler_may_stop_it_and_not_wait(machine: Make) -> None:
    said: list[object] = []

    def handler(exit: Exit) -> None:
        gate.pass_through()
        said.append(exit)
        said.append(thread.stop())
        with pytest.raises(RuntimeError, match="cannot wait for itself"):
            thread.join()

    gate = Gate()
    thread = VcpuThread(machine(KNOCK).vcpu, handler)
    gate.open()
    assert thread.join(PATIENCE) == Interrupted()
    assert said == [KNOCKED, None]


def test_a_handler_that_closes_it_stops_it(machine: Make) -> None:
    gate = Gate()

    def handler(exit: Exit) -> None:
        gate.pass_through()
        thread.close()

    thread = VcpuThread(machine(KNOCK).vcpu, handler)
    gate.open()
    assert thread.join(PATIENCE) == Interrupted()
    assert not thread.closed
    thread.close()
    assert thread.closed


def test_who_waits_for_it_hears_of_its_end_though_another_closes_it(machine: Make) -> None:
    vcpu = machine(SPIN).vcpu

    async def wait() -> Exit:
        return await thread

    def awaited() -> None:
        assert asyncio.run(wait()) == Interrupted()

    def joined() -> None:
        assert thread.join(PATIENCE) == Interrupted()

    for _ in range(50):
        thread = VcpuThread(vcpu)
        with workers(joined, joined, awaited):
            thread.close()


def test_its_descriptor_is_readable_when_it_has_ended(machine: Make) -> None:
    with VcpuThread(machine(SPIN).vcpu) as thread:
        poll = select.poll()
        poll.register(thread, select.POLLIN)
        assert poll.poll(0) == []
        thread.vcpu.kick()
        assert poll.poll(PATIENCE * 1000) == [(thread.fileno(), select.POLLIN)]
        assert thread.join() == Interrupted()


def test_it_can_be_awaited(machine: Make) -> None:
    async def main() -> Exit:
        with VcpuThread(machine(SPIN).vcpu) as thread:
            asyncio.get_running_loop().call_later(0.01, thread.vcpu.kick)
            return await thread

    assert asyncio.run(main()) == Interrupted()


def test_cancelling_a_task_that_awaits_it_stops_nothing(machine: Make) -> None:
    async def main() -> None:
        with VcpuThread(machine(SPIN).vcpu) as thread:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(_awaited(thread), 0.01)
            assert not thread.ended

    asyncio.run(main())


def test_the_vm_is_closed_under_it(machine: Make) -> None:
    for _ in range(10):
        made = machine(SPIN)
        thread = VcpuThread(made.vcpu, lambda exit: None)
        wait_until(lambda made=made: is_inside(made.vcpu))  # type: ignore[misc]
        made.vm.close()
        with pytest.raises(ClosedError, match="KVM_RUN: this Vcpu 0 is closed"):
            thread.join(PATIENCE)


def test_started_on_a_closed_vcpu(machine: Make) -> None:
    vcpu = machine(SPIN).vcpu
    vcpu.close()
    thread = VcpuThread(vcpu)
    with pytest.raises(ClosedError, match="is closed"):
        thread.join(PATIENCE)


def test_stopped_by_many_at_once(machine: Make) -> None:
    vcpu = machine(SPIN).vcpu
    for _ in range(30):
        thread = VcpuThread(vcpu)
        with workers(*[thread.stop] * 4):
            pass
        assert thread.join() == Interrupted()
    vcpu.kick()
    assert vcpu.run() == Interrupted()


def test_in_a_forked_child(machine: Make) -> None:
    made = machine(SPIN)

    def child() -> None:
        for call in thread.join, thread.stop:
            with pytest.raises(KvmError, match="EIO"):
                call()
        thread.close()
        made.close()

    with VcpuThread(made.vcpu) as thread:
        forked(child)


def test_it_does_not_keep_the_interpreter() -> None:
    assert (
        python(
            "from tests.kvm.machines import IDLE, Machine\n"
            "from pykvm import VcpuThread\n"
            "machine = Machine(IDLE); thread = VcpuThread(machine.vcpu)\n",
            "-W",
            "ignore",
        )
        == ""
    )


@pytest.mark.parametrize("handler", [None, lambda exit: 1 // 0], ids=["exits", "raises"])
def test_dropped_after_its_end_it_leaves_nothing(
    machine: Make, handler: Callable[[Exit], object] | None
) -> None:
    """At once: the exception that it keeps leads to no cycle."""
    vcpu = machine(STORE).vcpu
    gc.collect()
    gc.disable()
    try:
        with unchanged():
            for _ in range(2):
                thread = VcpuThread(vcpu, handler)
                with suppress(ZeroDivisionError):
                    thread.join(PATIENCE)
                end = weakref.ref(thread)
                del thread
                assert end() is None
    finally:
        gc.enable()
