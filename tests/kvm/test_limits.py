# SPDX-License-Identifier: Apache-2.0
"""Where descriptors or address space run out: at every step an error that tells, and no trace.

Each runs in a forked child, whose limits are lowered for real.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from pykvm import VM, EventFd, GuestMemory, Kvm, KvmError
from tests.kvm.footprint import descriptors, mappings
from tests.kvm.machines import DOORBELL_GPA, MEMORY_SIZE
from tests.kvm.processes import forked

#: What makes an object, from the objects that are there: /dev/kvm, a VM, an eventfd, a file.
MAKERS: dict[str, Callable[..., Any]] = {
    "Kvm": lambda kvm, vm, eventfd, file: Kvm(),
    "Kvm.adopt": lambda kvm, vm, eventfd, file: Kvm.adopt(kvm),
    "Kvm.create_vm": lambda kvm, vm, eventfd, file: kvm.create_vm(),
    "Kvm.adopt_vm": lambda kvm, vm, eventfd, file: kvm.adopt_vm(vm),
    "VM.create_vcpu": lambda kvm, vm, eventfd, file: vm.create_vcpu(0),
    "VM.ioeventfd": lambda kvm, vm, eventfd, file: vm.ioeventfd(DOORBELL_GPA, 4),
    "VM.ioeventfd of": lambda kvm, vm, eventfd, file: vm.ioeventfd(0, 4, eventfd=eventfd),
    "VM.create_vfio": lambda kvm, vm, eventfd, file: vm.create_vfio(),
    "VM.get_stats_fd": lambda kvm, vm, eventfd, file: vm.get_stats_fd(),
    "EventFd": lambda kvm, vm, eventfd, file: EventFd(),
    "EventFd.adopt": lambda kvm, vm, eventfd, file: EventFd.adopt(eventfd),
    "GuestMemory.memfd": lambda kvm, vm, eventfd, file: GuestMemory.memfd(MEMORY_SIZE),
    "GuestMemory.file": lambda kvm, vm, eventfd, file: GuestMemory.file(file, MEMORY_SIZE),
}
#: How many descriptors a maker needs at once; the others need one.
NEEDED = {"VM.create_vcpu": 2, "GuestMemory.memfd": 2, "GuestMemory.file": 2}
#: What does not need a descriptor: makers of what maps memory.
MAPPERS: dict[str, Callable[..., Any]] = {
    "GuestMemory": lambda kvm, vm, eventfd, file: GuestMemory(MEMORY_SIZE),
    "GuestMemory.memfd": MAKERS["GuestMemory.memfd"],
    "GuestMemory.file": MAKERS["GuestMemory.file"],
    "VM.create_vcpu": MAKERS["VM.create_vcpu"],
}


@contextmanager
def only_descriptors(count: int) -> Iterator[None]:
    """Leaves this process that many descriptors to open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(descriptors()) + 8, hard))
    spare = []
    try:
        while True:
            spare.append(os.dup(0))
    except OSError:
        pass
    kept = spare[:-count] if count else spare
    for fd in spare[len(kept) :]:
        os.close(fd)
    try:
        yield
    finally:
        for fd in kept:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_more_address_space() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def objects() -> Iterator[tuple[Kvm, VM, EventFd, int]]:
    """What the makers make from."""
    file = os.memfd_create("guest-memory")
    os.ftruncate(file, MEMORY_SIZE)
    with Kvm() as kvm, kvm.create_vm() as vm, EventFd() as eventfd:
        vm.create_vcpu(1).close()  # what is set up at the first vCPU is set up
        yield kvm, vm, eventfd, file


def told(make: Callable[[], Any], limit: AbstractContextManager[None], error: int) -> str:
    """The message of the refusal that ``make`` meets under ``limit``, which must leave no trace.

    It is judged before the exception is gone: its frames may keep nothing either.
    """
    before = descriptors(), mappings()
    with pytest.raises(KvmError) as caught, limit:
        make()
    assert caught.value.errno == error, caught.value
    assert (descriptors(), mappings()) == before
    return str(caught.value)


@pytest.mark.parametrize("name", MAKERS)
def test_descriptors_run_out(name: str) -> None:
    needed = NEEDED.get(name, 1)

    def child() -> list[str]:
        with objects() as given:
            messages = [
                told(lambda: MAKERS[name](*given), only_descriptors(count), errno.EMFILE)
                for count in range(needed)
            ]
            before = descriptors(), mappings()
            with only_descriptors(needed):  # nothing half made is in the way now
                made = MAKERS[name](*given)
            made.close()
            assert (descriptors(), mappings()) == before
        return messages

    for message in forked(child):
        assert "raise RLIMIT_NOFILE" in message


@pytest.mark.parametrize("name", MAPPERS)
def test_address_space_runs_out(name: str) -> None:
    def child() -> str:
        with objects() as given:
            return told(lambda: MAPPERS[name](*given), no_more_address_space(), errno.ENOMEM)

    assert "The host kernel has no memory for this" in forked(child)
