# SPDX-License-Identifier: Apache-2.0
"""MemorySlot: what the guest is shown, and that its memory stays while it is."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from pykvm import (
    VM,
    ClosedError,
    GuestMemory,
    Interrupted,
    Kvm,
    KvmError,
    KvmExistsError,
    MemorySlot,
    MmioWrite,
)
from tests.kvm.footprint import mappings, unchanged
from tests.kvm.machines import MEMORY_GPA, MEMORY_SIZE, SCRIBBLE, VALUE, Machine, prepare
from tests.kvm.threads import Gate, workers

Make = Callable[..., Machine]


def test_attributes(vm: VM, memory: GuestMemory) -> None:
    slot = vm.add_memory(MEMORY_GPA, memory, slot=7, readonly=True)
    assert (slot.slot, slot.gpa, slot.size) == (7, MEMORY_GPA, MEMORY_SIZE)
    assert (slot.memory, slot.offset, slot.readonly, slot.closed) == (memory, 0, True, False)
    slot.close()
    slot.close()
    assert slot.closed
    assert repr(slot) == "<MemorySlot 7 closed gpa 0xffff0000 size 0x10000>"


def test_the_guest_writes_into_it(machine: Make) -> None:
    made = machine(SCRIBBLE)
    made.memory.write(0, b"\0")
    with made.memory.view(0, 1) as view, workers(made.vcpu.run):
        while not view[0]:
            pass
        made.vcpu.kick()
    assert made.memory.read(0, 2) == bytes([VALUE, 0])


def test_read_only_memory_exits_as_a_store(machine: Make) -> None:
    made = machine(SCRIBBLE, readonly=True)
    made.memory.write(0, b"\x11")
    assert made.vcpu.run() == MmioWrite(MEMORY_GPA, bytes([VALUE]))
    assert made.memory.read(0, 1) == b"\x11"


def test_a_part_of_the_memory(vm: VM) -> None:
    with GuestMemory(3 * MEMORY_SIZE) as memory:
        rest = vm.add_memory(MEMORY_GPA, memory, offset=MEMORY_SIZE)
        assert rest.size == 2 * MEMORY_SIZE
        part = vm.add_memory(0, memory, offset=MEMORY_SIZE, size=MEMORY_SIZE)  # shown twice
        assert (part.offset, part.size) == (MEMORY_SIZE, MEMORY_SIZE)
        vm.close()


def test_numbers_are_the_lowest_free_and_come_back(vm: VM, memory: GuestMemory) -> None:
    slots = [vm.add_memory(n << 20, memory) for n in range(3)]
    assert [slot.slot for slot in slots] == [0, 1, 2]
    slots[1].close()
    assert vm.add_memory(5 << 20, memory).slot == 1
    assert vm.add_memory(6 << 20, memory, slot=9).slot == 9
    assert vm.add_memory(7 << 20, memory).slot == 3
    with unchanged(), pytest.raises(ValueError, match="slot 9 is in use: close its MemorySlot"):
        vm.add_memory(8 << 20, memory, slot=9)


def test_a_failure_gives_the_number_back(vm: VM, memory: GuestMemory) -> None:
    vm.add_memory(0, memory)
    for _ in range(2):
        with pytest.raises(KvmExistsError, match=r"slot=1, .*gpa=0x0.*overlaps another slot"):
            vm.add_memory(0, memory)
    assert vm.add_memory(1 << 20, memory).slot == 1


@pytest.mark.parametrize(
    ("gpa", "slot", "words"),
    [
        (MEMORY_GPA + 1, 0, r"EINVAL.*multiples of the host's page"),
        (MEMORY_GPA, 2**16 - 1, r"EINVAL.*NR_MEMSLOTS"),
        (2**64 - MEMORY_SIZE, 0, r"gpa=0xffffffffffff0000.*\[E"),
    ],
)
def test_what_the_kernel_refuses(
    vm: VM, memory: GuestMemory, gpa: int, slot: int, words: str
) -> None:
    with unchanged(), pytest.raises(KvmError, match=rf"KVM_SET_USER_MEMORY_REGION.*{words}"):
        vm.add_memory(gpa, memory, slot=slot)


def test_the_memory_can_be_closed_while_the_failure_is_handled(vm: VM) -> None:
    """A traceback keeps frames alive: none of them may hold the memory."""
    memory = GuestMemory(MEMORY_SIZE)
    with pytest.raises(KvmError) as caught:
        vm.add_memory(1, memory)
    memory.close()
    assert caught.tb is not None


def test_it_holds_its_memory(vm: VM) -> None:
    memory = GuestMemory(MEMORY_SIZE)
    slot = vm.add_memory(MEMORY_GPA, memory)
    with pytest.raises(BufferError, match="in use by a memory slot or a view"):
        memory.close()
    assert not memory.closed
    memory.write(0, b"still there")
    slot.close()
    memory.close()
    with pytest.raises(ClosedError, match="this GuestMemory is closed"):
        vm.add_memory(MEMORY_GPA, memory)


def test_the_vm_holds_slots_that_nobody_keeps(machine: Make) -> None:
    made = machine(SCRIBBLE)
    made.memory.write(0, b"\0")
    del made.slot
    gc.collect()
    with made.memory.view(0, 1) as view, workers(made.vcpu.run):
        while not view[0]:
            pass
        made.vcpu.kick()


def test_no_memory_goes_while_a_vcpu_could_reach_it(kvm: Kvm) -> None:
    """Whatever dies in whatever order: the kernel lets go of a slot before the mapping goes."""
    with unchanged():
        vm = kvm.create_vm()
        vcpu = vm.create_vcpu(0)
        prepare(vcpu)
        before = mappings()
        vm.add_memory(MEMORY_GPA, GuestMemory(MEMORY_SIZE))
        assert len(mappings()) == len(before) + 1
        with pytest.warns(ResourceWarning, match="unclosed <VM fd"):
            del vm
        assert mappings() == before  # the VM's end took the slot from the kernel
        vcpu.kick()
        assert vcpu.run() == Interrupted()
        vcpu.close()
        del vcpu


def test_closed_after_its_vm(kvm: Kvm, memory: GuestMemory) -> None:
    vm = kvm.create_vm()
    slot = vm.add_memory(MEMORY_GPA, memory)
    vm.close()
    assert slot.closed
    slot.close()
    memory.close()


def test_threads_get_numbers_of_their_own(vm: VM, memory: GuestMemory) -> None:
    """The same memory everywhere: a shared number would move the other's slot in silence."""
    numbers: list[int] = []

    def add(first_gpa: int) -> None:
        for n in range(50):
            numbers.append(vm.add_memory(first_gpa + (n << 20), memory).slot)

    with workers(*[lambda first=first << 32: add(first) for first in range(4)]):
        pass
    assert sorted(numbers) == list(range(200))


def test_memory_that_another_thread_gave_to_the_guest_can_be_closed(vm: VM) -> None:
    """Without a GIL what that thread made would end only as it wakes up."""
    memory = GuestMemory(MEMORY_SIZE)
    slots: list[MemorySlot] = []
    gate = Gate()

    def give() -> None:
        slots.append(vm.add_memory(MEMORY_GPA, memory))
        memory.store(0, 4, 1)
        gate.pass_through()

    with workers(give):
        gate.wait()
        slots.pop().close()
        memory.close()
        gate.open()
    assert memory.closed
