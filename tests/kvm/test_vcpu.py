# SPDX-License-Identifier: Apache-2.0
"""Vcpu: running, answering, closing, and what two threads may do to one."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable

import pytest

from pykvm import (
    VM,
    ClosedError,
    Exit,
    Interrupted,
    Kvm,
    KvmBusyError,
    KvmError,
    KvmExistsError,
    MmioRead,
    MmioWrite,
)
from tests.kvm.footprint import unchanged
from tests.kvm.machines import (
    DOORBELL_GPA,
    ECHO,
    IDLE,
    KNOCK,
    SECOND_GPA,
    SPIN,
    VALUE,
    Guest,
    Machine,
)
from tests.kvm.processes import forked
from tests.kvm.threads import is_inside, wait_until, workers

Make = Callable[..., Machine]
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))
LOADS = MmioRead(DOORBELL_GPA, 4)
both = pytest.mark.parametrize("guest", [SPIN, IDLE], ids=["spinning", "waiting"])


@pytest.mark.covers("vm KVM_CREATE_VCPU")
def test_create_and_close(vm: VM) -> None:
    with unchanged():
        vcpu = vm.create_vcpu(3)
        assert (vcpu.vcpu_id, vcpu.closed) == (3, False)
        assert os.readlink(f"/proc/self/fd/{vcpu.fileno()}") == "anon_inode:kvm-vcpu:3"
        assert not os.get_inheritable(vcpu.fileno())
        vcpu.close()
        vcpu.close()
        assert vcpu.closed
    assert "closed" in repr(vcpu)


def test_a_number_is_used_once(vm: VM) -> None:
    with vm.create_vcpu(0), pytest.raises(KvmExistsError, match=r"KVM_CREATE_VCPU.*vcpu_id=0"):
        vm.create_vcpu(0)


def test_a_dropped_vcpu_leaves_nothing(vm: VM) -> None:
    with unchanged():
        vm.create_vcpu(0)


@pytest.mark.parametrize(
    ("reply", "stored"),
    [
        (0x12345678, 0x12345678),
        (0, 0),
        (2**32 - 1, 2**32 - 1),
        (b"\x01\x02\x03\x04", 0x04030201),
        (bytearray(b"\xff\0\0\0"), 0xFF),
        (memoryview(b"\x10\x20\x30\x40"), 0x40302010),
    ],
)
def test_a_reply_is_what_the_guest_reads(machine: Make, reply: int | bytes, stored: int) -> None:
    vcpu = machine(ECHO).vcpu
    assert vcpu.run() == LOADS
    vcpu.mmio_reply(0xBAD)
    vcpu.mmio_reply(reply)  # the last one counts
    assert vcpu.run() == MmioWrite(SECOND_GPA, stored.to_bytes(4, "little"))


def test_without_a_reply_the_guest_reads_zero(machine: Make) -> None:
    vcpu = machine(ECHO).vcpu
    assert vcpu.run() == LOADS
    vcpu.mmio_reply(0xFFFFFFFF)
    assert vcpu.run() == MmioWrite(SECOND_GPA, b"\xff\xff\xff\xff")
    assert vcpu.run() == LOADS
    assert vcpu.run() == MmioWrite(SECOND_GPA, bytes(4))


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (2**32, ValueError, "value is 0x100000000"),
        (-1, ValueError, "value"),
        (b"", ValueError, "reads 4 bytes, value has 0"),
        (bytes(5), ValueError, "reads 4 bytes, value has 5"),
        ("four", TypeError, "value must be bytes"),
        (4.0, TypeError, "value must be bytes"),
        (None, TypeError, "value must be bytes"),
        (True, TypeError, "value must be an int"),
    ],
)
def test_a_reply_must_fit(machine: Make, reply: object, error: type[Exception], words: str) -> None:
    vcpu = machine(ECHO).vcpu
    assert vcpu.run() == LOADS
    with pytest.raises(error, match=words):
        vcpu.mmio_reply(reply)
    assert vcpu.run() == MmioWrite(SECOND_GPA, bytes(4))


def test_there_must_be_a_load_to_answer(machine: Make) -> None:
    vcpu = machine(ECHO).vcpu
    answered = pytest.raises(ValueError, match="no load to answer")
    with answered:
        vcpu.mmio_reply(0)  # nothing ran yet
    assert vcpu.run() == LOADS
    vcpu.kick()
    assert vcpu.run() == Interrupted()
    with pytest.raises(ValueError, match="no load to answer"):
        vcpu.mmio_reply(0)  # the load was completed on the way to the interruption
    assert isinstance(vcpu.run(), MmioWrite)
    with pytest.raises(ValueError, match="no load to answer"):
        vcpu.mmio_reply(0)


def test_an_exit_stays_what_it_was(machine: Make) -> None:
    vcpu = machine(ECHO).vcpu
    first = vcpu.run()
    vcpu.mmio_reply(7)
    second = vcpu.run()
    vcpu.run()
    vcpu.close()
    assert (first, second) == (LOADS, MmioWrite(SECOND_GPA, b"\x07\0\0\0"))


@both
def test_one_thread_at_a_time(machine: Make, guest: Guest) -> None:
    vcpu = machine(guest).vcpu
    seen: list[Exit] = []
    with workers(lambda: seen.append(vcpu.run())):
        wait_until(lambda: is_inside(vcpu))
        with pytest.raises(KvmBusyError, match=r"KVM_RUN.*Another thread is inside"):
            vcpu.run()
        with pytest.raises(KvmBusyError, match=r"close.*Another thread is inside run\(\)"):
            vcpu.close()
        assert not vcpu.closed
        vcpu.kick()
    assert seen == [Interrupted()]
    vcpu.close()
    assert vcpu.closed


def test_a_view_of_kvm_run_keeps_it_open(machine: Make) -> None:
    vcpu = machine(KNOCK).vcpu
    with vcpu.kvm_run as view:
        assert view.nbytes % mmap.PAGESIZE == 0
        with pytest.raises(BufferError, match="view of vCPU 0's kvm_run"):
            vcpu.close()
        assert not vcpu.closed
        assert vcpu.run() == KNOCKED
        assert int.from_bytes(view[8:12], "little") == 6  # exit_reason: KVM_EXIT_MMIO
    vcpu.close()


def test_a_view_outlives_a_dropped_vcpu(vm: VM) -> None:
    with unchanged():
        view = vm.create_vcpu(0).kvm_run
        assert bytes(view[:1]) == b"\0"
        view.release()


def test_signals_run_their_handlers_and_the_guest_goes_on(
    machine: Make, alarms: Callable[..., None]
) -> None:
    vcpu = machine(SPIN).vcpu
    calls = 0

    def handler() -> None:
        nonlocal calls
        calls += 1
        if calls == 20:
            vcpu.kick()

    alarms(handler)
    assert vcpu.run() == Interrupted()
    assert calls >= 20


@both
def test_what_a_handler_raises_comes_out_and_run_can_be_called_again(
    machine: Make, guest: Guest, alarms: Callable[..., None]
) -> None:
    vcpu = machine(guest).vcpu

    running = False

    def interrupt() -> None:
        nonlocal running
        if running:  # once: a second one would come when nobody expects it any more
            running = False
            raise KeyboardInterrupt

    def run_until_then() -> None:
        nonlocal running
        running = True
        # Again and again: one that comes just before KVM_RUN would wait for another to end it.
        alarms(interrupt)
        vcpu.run()

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run_until_then()
    alarms(vcpu.kick)
    assert vcpu.run() == Interrupted()


def test_closed_from_a_handler_while_running(machine: Make, alarms: Callable[..., None]) -> None:
    """A handler runs between two KVM_RUNs, so nobody is inside: run() finds the vCPU closed."""
    vcpu = machine(SPIN).vcpu
    alarms(vcpu.close)
    with pytest.raises(ClosedError, match="KVM_RUN: this Vcpu 0 is closed"):
        vcpu.run()


def test_closed_by_several_threads_at_once(kvm: Kvm) -> None:
    for _ in range(10):
        with unchanged(), kvm.create_vm() as vm:
            for number in range(5):
                vcpu = vm.create_vcpu(number)
                with workers(*[vcpu.close] * 3):
                    pass
                assert vcpu.closed


def test_in_a_forked_child(machine: Make) -> None:
    made = machine(KNOCK)

    def child() -> list[str]:
        said = []
        for call in (
            made.vcpu.run,
            made.vcpu.kick,
            lambda: made.vcpu.get_one_reg(0x6030000000100000),
            lambda: made.vcpu.ioctl(0x8004AE98, bytearray(4)),  # KVM_GET_MP_STATE
        ):
            with pytest.raises(KvmError) as caught:
                call()
            assert caught.value.errno == errno.EIO
            said.append(str(caught.value))
        made.vcpu.close()  # what was inherited can be closed, and that is all
        assert made.vcpu.closed
        return said

    for message in forked(child):
        assert "descriptors do not survive fork" in message
    assert made.vcpu.run() == KNOCKED


def test_fork_while_other_threads_run_and_kick(machine: Make) -> None:
    """The child may inherit the vCPU's lock in its locked state: no call there waits for it."""
    made = machine(KNOCK)
    done = False

    def run() -> None:
        while not done:
            made.vcpu.run()

    def kick() -> None:
        while not done:
            made.vcpu.kick()

    def child() -> None:
        for call in made.vcpu.kick, made.vcpu.run:
            with pytest.raises(KvmError, match="EIO"):
                call()
        made.close()

    with workers(run, kick):
        for _ in range(10):
            forked(child)
        done = True
