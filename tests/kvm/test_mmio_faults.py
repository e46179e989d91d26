# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in handlers: exceptions leave run(), nothing is lost, and the vCPU goes on."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from pykvm import ClosedError, Interrupted, KvmBusyError, KvmError, MmioRead, MmioRing, MmioWrite
from tests.kvm.footprint import unchanged
from tests.kvm.machines import DOORBELL_GPA, ECHO, KNOCK, SECOND_GPA, VALUE, Machine
from tests.kvm.processes import forked
from tests.kvm.threads import Gate, is_inside, wait_until, workers

Make = Callable[..., Machine]
LOADS = MmioRead(DOORBELL_GPA, 4)
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))


def stored(value: int) -> MmioWrite:
    return MmioWrite(SECOND_GPA, value.to_bytes(4, "little"))


def test_a_load_whose_handler_raised_is_asked_for_again(machine: Make) -> None:
    made = machine(ECHO)
    calls = 0

    def read(offset: int, size: int) -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ZeroDivisionError(calls)
        return calls

    made.vm.mmio_handler(DOORBELL_GPA, 4, read=read)
    for expected in 1, 2:
        with pytest.raises(ZeroDivisionError, match=str(expected)):
            made.vcpu.run()
    assert made.vcpu.run() == stored(3)


def test_a_load_whose_handler_raised_can_be_answered(machine: Make) -> None:
    made = machine(ECHO)
    with made.vm.mmio_handler(DOORBELL_GPA, 4, read=lambda *_: 1 // 0):
        with pytest.raises(ZeroDivisionError):
            made.vcpu.run()
        made.vcpu.mmio_reply(5)
        assert made.vcpu.run() == stored(5)
        with pytest.raises(ZeroDivisionError):
            made.vcpu.run()
    assert made.vcpu.run() == LOADS, "its handler is gone: nobody's"
    made.vcpu.mmio_reply(6)
    assert made.vcpu.run() == stored(6)


def test_a_store_whose_handler_raised_is_done(machine: Make) -> None:
    made = machine(ECHO)
    numbers = itertools.count()
    seen: list[int] = []

    def write(offset: int, size: int, value: int) -> None:
        seen.append(value)
        raise ZeroDivisionError

    made.vm.mmio_handler(DOORBELL_GPA, 4, read=lambda *_: next(numbers))
    made.vm.mmio_handler(SECOND_GPA, 4, write=write)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            made.vcpu.run()
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (2**32, ValueError, "the reply of a handler is 0x100000000; it must be 0x0 to 0xffffffff"),
        (2**64, ValueError, "the reply of a handler"),
        (-1, ValueError, "the reply of a handler"),
        (None, TypeError, "the reply of a handler must be an int, not NoneType"),
        ("7", TypeError, "the reply of a handler must be an int, not str"),
        (7.0, TypeError, "the reply of a handler must be an int, not float"),
        (b"\0\0\0\0", TypeError, "the reply of a handler"),
    ],
)
def test_a_reply_must_fit(machine: Make, reply: object, error: type[Exception], words: str) -> None:
    made = machine(ECHO)
    replies = iter([reply, reply, 2**32 - 1])
    made.vm.mmio_handler(DOORBELL_GPA, 4, read=lambda *_: next(replies))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(error, match=words):
            made.vcpu.run()
    assert made.vcpu.run() == stored(2**32 - 1)


def test_a_handler_closes_its_range(machine: Make) -> None:
    made = machine(ECHO)

    def read(offset: int, size: int) -> int:
        there.close()
        return 9

    there = made.vm.mmio_handler(DOORBELL_GPA, 4, read=read)
    assert made.vcpu.run() == stored(9), "its answer counts"
    assert made.vcpu.run() == LOADS


@pytest.mark.parametrize("what", ["vm", "vcpu"])
@pytest.mark.parametrize("gpa", [DOORBELL_GPA, SECOND_GPA])
def test_a_handler_closes_the_vm(machine: Make, what: str, gpa: int) -> None:
    """It takes effect when the handler returns: run() finds the vCPU closed."""
    with unchanged(), Machine(ECHO) as made:
        close = getattr(made, what).close
        made.vm.mmio_ignore(0, gpa)
        made.vm.mmio_handler(gpa, 4, read=lambda *_: close() or 1, write=lambda *_: close())
        with pytest.raises(ClosedError, match="KVM_RUN: this Vcpu 0 is closed"):
            made.vcpu.run()


def test_a_handler_runs_the_vcpu(machine: Make) -> None:
    made = machine(KNOCK)
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: made.vcpu.run())
    with pytest.raises(KvmBusyError, match=r"This thread is inside run.*in a handler"):
        made.vcpu.run()
    with pytest.raises(KvmBusyError, match="This thread is inside run"):
        made.vcpu.run()
    made.vm.close()


def test_a_handler_kicks(machine: Make) -> None:
    made = machine(KNOCK)
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: made.vcpu.kick())
    for _ in range(3):
        assert made.vcpu.run() == Interrupted()


def test_while_a_handler_runs_no_other_thread_gets_in(machine: Make) -> None:
    made = machine(KNOCK)
    gate = Gate()
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: gate.pass_through())
    with workers(made.vcpu.run):
        gate.wait()
        for call in made.vcpu.run, made.vcpu.close, made.vcpu.complete_mmio:
            with pytest.raises(KvmBusyError, match="Another thread is inside"):
                call()
        made.vcpu.kick()
        gate.open()
    made.vcpu.close()


def test_closing_the_vm_waits_for_a_handler(machine: Make) -> None:
    made = machine(KNOCK)
    gate = Gate()
    made.vm.mmio_handler(DOORBELL_GPA, 1, write=lambda *_: gate.pass_through())

    def run() -> None:
        with suppress(ClosedError):
            while True:  # Interrupted, where closing comes after the handler
                made.vcpu.run()

    def close() -> None:
        gate.wait()
        made.vm.close()

    with workers(run, close):
        gate.wait()
        assert not made.vm.closed
        gate.open()
    assert made.vm.closed


def test_two_threads_in_one_vcpu(machine: Make) -> None:
    """One runs, the other is refused; whoever comes next may run."""
    made = machine(ECHO)
    numbers = itertools.count()
    done = refused = 0
    made.vm.mmio_handler(DOORBELL_GPA, 4, read=lambda *_: next(numbers))
    seen: list[int] = []

    def run() -> None:
        nonlocal done, refused
        while done < 100:
            try:
                exit = made.vcpu.run()
            except KvmBusyError:
                refused += 1
                continue
            assert isinstance(exit, MmioWrite)
            seen.append(exit.value)
            done += 1

    with workers(run, run):
        pass
    assert sorted(seen) == list(range(len(seen)))


def test_fork_in_a_handler(machine: Make) -> None:
    made = machine(ECHO)

    def child() -> str:
        with pytest.raises(KvmError) as caught:
            made.vcpu.run()
        with pytest.raises(KvmError, match="EIO"):
            made.vm.mmio_ignore(0, 1)
        with pytest.raises(KvmError, match="EIO"):
            ring.take()
        ring.close()
        made.close()
        return str(caught.value)

    def read(offset: int, size: int) -> int:
        assert "EIO" in forked(child)
        return 5

    made.vm.mmio_handler(DOORBELL_GPA, 4, read=read)
    ring = made.vm.mmio_ring(SECOND_GPA, 4, capacity=1)
    assert made.vcpu.run() == stored(5)
    assert ring.take() == [(0, 4, 5)]


def test_what_a_forked_handler_returns_is_not_the_parent_s_answer(machine: Make) -> None:
    """The child sees the parent's kvm_run, in which another load has its answer by then."""
    made = machine(ECHO)
    ours, theirs = socket.socketpair()
    child = -1

    def read(offset: int, size: int) -> int:
        nonlocal child
        child = os.fork()
        if not child:
            theirs.recv(1)
            return 9
        return 5

    with ours, theirs:
        reader = made.vm.mmio_handler(DOORBELL_GPA, 4, read=read)
        status = 1
        try:
            exit = made.vcpu.run()
        except KvmError as refusal:
            status = int(refusal.errno != errno.EIO)
        finally:
            if not child:
                os._exit(status)
        assert exit == stored(5)
        reader.close()
        assert made.vcpu.run() == LOADS
        made.vcpu.mmio_reply(7)
        ours.send(b"!")
        assert os.waitpid(child, 0) == (child, 0)
        assert made.vcpu.run() == stored(7)


def test_fork_while_ranges_change_and_the_guest_runs(machine: Make) -> None:
    made = machine(KNOCK)
    done = False

    def run() -> None:
        while not done:
            made.vcpu.run()

    def change() -> None:
        while not done:
            made.vm.mmio_ring(DOORBELL_GPA, 1, print, capacity=1 << 10).close()

    with workers(run, change):
        for _ in range(10):
            forked(made.close)
        done = True
        made.vcpu.kick()


def test_ranges_change_under_fire(machine: Make) -> None:
    """Every store comes to exactly one of those that take turns to be there, or ends run()."""
    made = machine(ECHO)
    numbers = itertools.count()
    seen: list[int] = []
    rings: list[MmioRing] = []
    done = False
    made.vm.mmio_handler(DOORBELL_GPA, 4, read=lambda *_: next(numbers))

    def write(offset: int, size: int, value: int) -> None:
        seen.append(value)

    def run() -> None:
        while not done:
            exit = made.vcpu.run()
            if isinstance(exit, MmioWrite):
                seen.append(exit.value)

    def change() -> None:
        nonlocal done
        for n in range(300):
            if n % 3 == 0:
                rings.append(made.vm.mmio_ring(SECOND_GPA, 4, capacity=1 + n % 7))
                wait_until(lambda: is_inside(made.vcpu))
                rings[-1].close()
            else:
                with made.vm.mmio_handler(SECOND_GPA, 4 + n % 2, write=write):
                    made.vm.mmio_ignore(SECOND_GPA + 0x1000, 1 << n % 60).close()
        done = True
        made.vcpu.kick()

    with workers(run, change):
        pass
    seen += [value for ring in rings for _, _, value in ring.take()]
    last = next(numbers)
    assert sorted(seen) == list(range(len(seen)))
    assert last - len(seen) in (0, 1)


def test_what_a_raising_handler_left_comes_before_the_next_exit(machine: Make) -> None:
    made = machine(KNOCK)
    calls: list[int] = []

    def handler(*_: int) -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise ZeroDivisionError

    made.vm.mmio_ring(DOORBELL_GPA, 1, handler, capacity=4)
    with pytest.raises(ZeroDivisionError):  # the ring was full
        made.vcpu.run()
    made.vcpu.kick()
    assert calls == [0]
    assert made.vcpu.run() == Interrupted()
    assert calls == [0, 1, 2, 3, 4]
