# SPDX-License-Identifier: Apache-2.0
"""Ioeventfd: what can be registered, what fires, and that nothing stays registered."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pykvm import (
    VM,
    ClosedError,
    EventFd,
    Kvm,
    KvmBusyError,
    KvmExistsError,
    MmioWrite,
)
from tests.kvm.footprint import unchanged
from tests.kvm.machines import DOORBELL_GPA, SECOND_GPA, STORE, VALUE, Machine

Make = Callable[..., Machine]
SECOND_STORE = MmioWrite(SECOND_GPA, bytes([VALUE]))


@pytest.mark.parametrize(
    "options",
    [{"size": 1}, {"size": 0}, {"size": 1, "datamatch": VALUE}],
    ids=["width", "any width", "value"],
)
def test_a_store_signals_and_does_not_exit(machine: Make, options: dict[str, int]) -> None:
    made = machine(STORE)
    bell = made.vm.ioeventfd(DOORBELL_GPA, **options)
    assert made.vcpu.run() == SECOND_STORE
    assert bell.eventfd.read() == 1


@pytest.mark.parametrize(
    "options", [{"size": 2}, {"size": 1, "datamatch": VALUE + 1}], ids=["width", "value"]
)
def test_another_store_exits(machine: Make, options: dict[str, int]) -> None:
    made = machine(STORE)
    bell = made.vm.ioeventfd(DOORBELL_GPA, **options)
    assert made.vcpu.run() == MmioWrite(DOORBELL_GPA, bytes([VALUE]))
    assert bell.eventfd.read() == 0


def test_somebody_elses_eventfd(machine: Make) -> None:
    made = machine(STORE)
    theirs = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        made.vm.ioeventfd(DOORBELL_GPA, 1, eventfd=theirs)
        assert made.vcpu.run() == SECOND_STORE
        assert os.eventfd_read(theirs) == 1
    finally:
        os.close(theirs)


def test_attributes(vm: VM) -> None:
    bell = vm.ioeventfd(DOORBELL_GPA, 4, datamatch=3)
    assert (bell.gpa, bell.size, bell.datamatch, bell.closed) == (DOORBELL_GPA, 4, 3, False)
    assert repr(bell) == "<Ioeventfd gpa 0x1000 size 4 datamatch 0x3>"
    bell.close()
    assert repr(bell) == "<Ioeventfd closed gpa 0x1000 size 4 datamatch 0x3>"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 3}, "size is 3; it must be 0"),
        ({"size": 16}, "size is 0x10"),
        ({"size": 0, "datamatch": 1}, "a datamatch needs a size"),
        ({"size": 1, "datamatch": 256}, "datamatch is 0x100"),
        ({"size": 4, "gpa": 2**64 - 2}, "wraps around"),
        ({"size": 4, "gpa": 2**64}, "gpa"),
    ],
)
def test_what_can_never_work(vm: VM, arguments: dict[str, int], words: str) -> None:
    with unchanged(), pytest.raises(ValueError, match=words):
        vm.ioeventfd(**{"gpa": DOORBELL_GPA, **arguments})


def test_one_registration_for_a_store(vm: VM) -> None:
    vm.ioeventfd(DOORBELL_GPA, 4)
    for arguments in ({"size": 4}, {"size": 4, "datamatch": 5}, {"size": 0}):
        with unchanged(), pytest.raises(KvmExistsError, match=r"gpa=0x1000.*covers this address"):
            vm.ioeventfd(DOORBELL_GPA, **arguments)
    vm.ioeventfd(DOORBELL_GPA, 2)


@pytest.mark.parametrize("datamatch", [None, 9])
def test_close_takes_it_from_kvm_while_others_have_the_eventfd(
    vm: VM, datamatch: int | None
) -> None:
    """KVM keeps a registration as long as anybody has the eventfd, unless it is taken back."""
    with EventFd() as ours:
        for _ in range(3):
            bell = vm.ioeventfd(DOORBELL_GPA, 4, datamatch=datamatch, eventfd=ours)
            bell.close()
            bell.close()
            assert bell.closed
            assert bell.eventfd.closed


def test_nobody_has_to_keep_it(vm: VM) -> None:
    with EventFd() as ours:
        vm.ioeventfd(DOORBELL_GPA, 4, eventfd=ours)
        with pytest.raises(KvmExistsError):
            vm.ioeventfd(DOORBELL_GPA, 4)


def test_its_eventfd_cannot_be_closed_under_it(vm: VM) -> None:
    """Without the eventfd the registration could never be taken back."""
    bell = vm.ioeventfd(DOORBELL_GPA, 4)
    with pytest.raises(KvmBusyError, match="belongs to an Ioeventfd: close that"):
        bell.eventfd.close()
    assert not bell.eventfd.closed
    bell.close()
    vm.ioeventfd(DOORBELL_GPA, 4)


def test_a_registration_that_is_gone_already(vm: VM) -> None:
    """Taken back behind our back: close() has nothing to do, and says nothing."""
    bell = vm.ioeventfd(DOORBELL_GPA, 4)
    behind = vm.ioeventfd(SECOND_GPA, 4, eventfd=bell.eventfd)
    raw = bytearray(64)
    raw[8:16] = DOORBELL_GPA.to_bytes(8, "little")
    raw[16:20] = (4).to_bytes(4, "little")
    raw[20:24] = behind.eventfd.fileno().to_bytes(4, "little")
    raw[24:28] = (4).to_bytes(4, "little")  # DEASSIGN
    vm.ioctl(0x4040AE79, raw)
    bell.close()
    assert bell.closed


def test_an_eventfd_may_serve_several_addresses(vm: VM) -> None:
    with EventFd() as ours:
        for gpa in range(0, 64, 4):
            vm.ioeventfd(gpa, 4, eventfd=ours)


def test_an_eventfd_that_blocks(vm: VM) -> None:
    theirs = os.eventfd(0)
    try:
        with unchanged(), pytest.raises(ValueError, match="EFD_NONBLOCK"):
            vm.ioeventfd(DOORBELL_GPA, 4, eventfd=theirs)
        vm.ioeventfd(DOORBELL_GPA, 4)  # nothing was registered
    finally:
        os.close(theirs)


def test_an_eventfd_that_counts_down_by_one(vm: VM) -> None:
    """Refused where the kernel tells, which it does since 6.5."""
    theirs = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
    told = "eventfd-semaphore" in Path(f"/proc/self/fdinfo/{theirs}").read_text(encoding="ascii")
    try:
        with unchanged():
            if told:
                with pytest.raises(ValueError, match="EFD_SEMAPHORE"):
                    vm.ioeventfd(DOORBELL_GPA, 4, eventfd=theirs)
            else:
                vm.ioeventfd(DOORBELL_GPA, 4, eventfd=theirs).close()
        vm.ioeventfd(DOORBELL_GPA, 4)  # nothing is registered
    finally:
        os.close(theirs)


def test_what_is_no_eventfd(kvm: Kvm, vm: VM) -> None:
    with unchanged(), pytest.raises(ValueError, match="no eventfd but /dev/kvm"):
        vm.ioeventfd(DOORBELL_GPA, 4, eventfd=kvm)
    closed = EventFd()
    closed.close()
    with unchanged(), pytest.raises(ClosedError, match="this EventFd is closed"):
        vm.ioeventfd(DOORBELL_GPA, 4, eventfd=closed)


def test_after_close_of_the_vm(kvm: Kvm) -> None:
    vm = kvm.create_vm()
    register = vm.ioeventfd
    vm.close()
    with unchanged(), pytest.raises(ClosedError, match="KVM_IOEVENTFD: this VM is closed"):
        register(DOORBELL_GPA, 4)
