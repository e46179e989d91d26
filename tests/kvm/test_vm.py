# SPDX-License-Identifier: Apache-2.0
"""VM: making, adopting, closing in any order, and running under a close()."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable

import pytest

from pykvm import (
    VM,
    Cap,
    ClosedError,
    EventFd,
    Exit,
    GuestMemory,
    Interrupted,
    Kvm,
    KvmError,
    MmioWrite,
)
from tests.kvm.footprint import unchanged
from tests.kvm.machines import (
    DOORBELL_GPA,
    IDLE,
    KNOCK,
    MEMORY_GPA,
    SPIN,
    VALUE,
    Guest,
    Machine,
    prepare,
)
from tests.kvm.processes import PATIENCE, forked
from tests.kvm.threads import is_inside, wait_until, workers

Make = Callable[..., Machine]
KNOCKED = MmioWrite(DOORBELL_GPA, bytes([VALUE]))


@pytest.mark.covers("system KVM_CREATE_VM")
def test_create_and_close(kvm: Kvm) -> None:
    with unchanged():
        vm = kvm.create_vm()
        assert os.readlink(f"/proc/self/fd/{vm.fileno()}") == "anon_inode:kvm-vm"
        assert not os.get_inheritable(vm.fileno())
        vm.close()
        vm.close()
        assert vm.closed
    assert repr(vm) == "<VM closed>"


def test_closing_closes_what_it_made(kvm: Kvm, memory: GuestMemory) -> None:
    with unchanged():
        vm = kvm.create_vm()
        slot = vm.add_memory(MEMORY_GPA, memory)
        bell = vm.ioeventfd(DOORBELL_GPA, 4)
        vcpu = vm.create_vcpu(0)
        vm.close()
    assert [child.closed for child in (slot, bell, bell.eventfd, vcpu)] == [True] * 4
    memory.close()


def test_children_can_be_closed_first_and_last(kvm: Kvm, memory: GuestMemory) -> None:
    vm = kvm.create_vm()
    slot, bell, vcpu = vm.add_memory(MEMORY_GPA, memory), vm.ioeventfd(0, 4), vm.create_vcpu(0)
    bell.close()
    vm.close()
    for close in slot.close, bell.close, vcpu.close:
        close()
    assert (slot.closed, bell.closed, vcpu.closed) == (True, True, True)


def test_a_view_stops_close_and_nothing_is_lost(machine: Make) -> None:
    made = machine(KNOCK)
    view = made.vcpu.kvm_run
    with pytest.raises(BufferError, match="kvm_run"):
        made.vm.close()
    assert not made.vm.closed
    assert made.vcpu.run() == KNOCKED
    view.release()
    made.vm.close()
    assert made.vm.closed


@pytest.mark.parametrize("guest", [SPIN, IDLE], ids=["spinning", "waiting"])
def test_close_while_another_thread_runs(machine: Make, guest: Guest) -> None:
    made = machine(guest)
    seen: list[Exit | Exception] = []

    def run() -> None:
        seen.append(made.vcpu.run())
        try:
            made.vcpu.run()
        except ClosedError as closed:
            seen.append(closed)

    with workers(run):
        wait_until(lambda: is_inside(made.vcpu))
        made.vm.close()
        assert made.vcpu.closed
    assert seen[0] == Interrupted()
    assert "KVM_RUN: this Vcpu 0 is closed" in str(seen[1])


def test_close_while_another_thread_serves_exits(kvm: Kvm) -> None:
    """Close meets the other thread at any point between two KVM_RUNs: it ends with ClosedError."""
    for _ in range(25):
        with unchanged():
            made = Machine(KNOCK)
            seen: list[Exit] = []

            def run(made: Machine = made, seen: list[Exit] = seen) -> None:
                try:
                    while True:
                        exit = made.vcpu.run()
                        if len(seen) < 100:
                            seen.append(exit)
                except ClosedError:
                    pass

            with workers(run):
                wait_until(lambda seen=seen: len(seen) > 2)  # type: ignore[misc]
                made.vm.close()
            assert set(seen) <= {KNOCKED, Interrupted()}
            made.close()


def test_closed_by_several_threads_at_once(kvm: Kvm) -> None:
    for _ in range(25):
        with unchanged():
            vm = kvm.create_vm()
            memory = GuestMemory(0x10000)
            vm.add_memory(MEMORY_GPA, memory)
            vm.ioeventfd(DOORBELL_GPA, 4)
            vcpu = vm.create_vcpu(0)
            with workers(vm.close, vm.close, vm.close):
                pass
            assert vm.closed
            assert vcpu.closed
            memory.close()


def test_the_descriptor_stays_while_something_is_taken_back(vm: VM) -> None:
    """Its number may be another VM's at once: a late call must not delete a stranger's slot."""
    begun, go_on = threading.Event(), threading.Event()
    open_still: list[bool] = []

    def undo() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        open_still.append(not vm.closed)

    def close() -> None:
        begun.wait(PATIENCE)
        vm.close()

    with workers(lambda: vm._core.take_back(undo), close):
        begun.wait(PATIENCE)
        time.sleep(0.05)  # time for close() to be wrong in
        go_on.set()
    assert open_still == [True]


def test_adopt(kvm: Kvm, vm: VM) -> None:
    with unchanged():
        with kvm.adopt_vm(vm.fileno()) as by_number, kvm.adopt_vm(vm) as by_object:
            assert by_number.check_extension(Cap.USER_MEMORY) == 1
            vcpu = by_object.create_vcpu(0)
            with pytest.raises(KvmError, match="vcpu_id=0"):
                by_number.create_vcpu(0)
        assert vcpu.closed
    assert vm.check_extension(Cap.USER_MEMORY) == 1


def test_adopt_what_is_no_vm(kvm: Kvm) -> None:
    with EventFd() as eventfd, open("/dev/null") as null:
        for foreign, what in (kvm, "/dev/kvm"), (eventfd, "[eventfd]"), (null, "/dev/null"):
            with unchanged(), pytest.raises(ValueError) as caught:
                kvm.adopt_vm(foreign)
            assert f"no VM but {what}" in str(caught.value)


def test_a_vm_of_another_process(kvm: Kvm, vm: VM) -> None:
    """A descriptor that went through a fork can be adopted, and every call tells what is wrong."""

    def child() -> str:
        foreign = kvm.adopt_vm(vm)
        with pytest.raises(KvmError) as caught:
            foreign.create_vcpu(0)
        foreign.close()
        assert caught.value.errno == errno.EIO
        return str(caught.value)

    assert "made by another process" in forked(child)
    vm.create_vcpu(0).close()


def test_inherited_through_fork(machine: Make) -> None:
    made = machine(KNOCK)
    bell = made.vm.ioeventfd(DOORBELL_GPA, 2)

    def child() -> str:
        with pytest.raises(KvmError) as caught:
            made.vm.check_extension(Cap.IRQFD)
        made.close()  # no ioctl is tried, and nothing of the parent's is undone
        assert (made.vm.closed, made.vcpu.closed, made.slot.closed, bell.closed) == (True,) * 4
        with Kvm() as kvm, kvm.create_vm() as own:
            own.create_vcpu(0).close()  # what the child makes is its own
        return str(caught.value)

    assert "open /dev/kvm in the child" in forked(child)
    assert made.vcpu.run() == KNOCKED
    with pytest.raises(KvmError, match="EEXIST"):
        made.vm.ioeventfd(DOORBELL_GPA, 2)


def test_a_child_may_just_exit(machine: Make) -> None:
    """Objects that die in a child say and undo nothing there."""
    made = machine(KNOCK)

    def child() -> None:
        del made.vm, made.vcpu, made.slot

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "kvm", None)
        forked(child)
    assert made.vcpu.run() == KNOCKED


@pytest.mark.needs("vgicv3")
def test_a_dead_vm_can_be_closed(kvm: Kvm, memory: GuestMemory) -> None:
    """Running beside a GIC that nobody initialised kills a VM: every ioctl of it answers EIO."""
    with unchanged():
        vm = kvm.create_vm()
        slot, bell = vm.add_memory(MEMORY_GPA, memory), vm.ioeventfd(DOORBELL_GPA, 4)
        vcpu = vm.create_vcpu(0)
        prepare(vcpu)
        vgic = vm.create_vgic(3)
        with pytest.raises(KvmError, match="KVM_RUN"):
            vcpu.run()
        with pytest.raises(KvmError, match="that first error tells the reason"):
            vm.check_extension(Cap.IRQFD)
        vm.close()
        assert (slot.closed, bell.closed, vcpu.closed, vgic.closed) == (True,) * 4
