# SPDX-License-Identifier: Apache-2.0
"""The smallest machines that do something: one vCPU, 64 KiB of memory, a few instructions.

They do the same on arm64 and on x86_64. The memory ends at 4 GiB, where an x86 processor starts;
everywhere else in the address space is no memory.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from pykvm import VM, GuestMemory, Kvm, Vcpu, VcpuFeature

ARM64 = platform.machine() == "aarch64"

#: A multiple of every host's page size.
MEMORY_SIZE = 0x10000
MEMORY_GPA = 0xFFFF0000
ENTRY_GPA = 0xFFFFFFF0
#: Addresses where there is no memory.
DOORBELL_GPA = 0x1000
SECOND_GPA = 0x1100
#: What guests store.
VALUE = 0x2A


class Guest(NamedTuple):
    """The instructions of one guest, as x86 real mode and as arm64 understand them.

    On arm64, x0 is DOORBELL_GPA, x1 SECOND_GPA, x2 VALUE and x3 MEMORY_GPA.
    """

    x86: str
    arm64: tuple[int, ...]


#: Runs for ever.
SPIN = Guest("eb fe", (0x14000000,))
#: Waits inside the kernel for an interrupt that never comes.
IDLE = Guest("f4 eb fd", (0xD503207F, 0x17FFFFFF))
#: Stores one byte at the doorbell, one at the second address, then spins.
STORE = Guest("c6 06 00 10 2a c6 06 00 11 2a eb fe", (0x39000002, 0x39000022, 0x14000000))
#: Stores one byte at the doorbell, for ever.
KNOCK = Guest("c6 06 00 10 2a eb f9", (0x39000002, 0x17FFFFFF))
#: Loads four bytes from the doorbell, stores them at the second address, for ever.
ECHO = Guest("66 a1 00 10 66 a3 00 11 eb f6", (0xB9400002, 0xB9000022, 0x17FFFFFE))
#: Stores one byte at the start of its own memory and one at the doorbell, for ever.
WRITE = Guest("2e c6 06 00 00 2a c6 06 00 10 2a eb f3", (0x39000062, 0x39000002, 0x17FFFFFE))
#: Stores one byte at the start of its own memory, then spins.
SCRIBBLE = Guest("2e c6 06 00 00 2a eb fe", (0x39000062, 0x14000000))


class Machine:
    """A VM with one vCPU that is ready to run a guest. ``with`` or ``close()`` ends it.

    ``first`` is called with the VM before there is anything in it.
    """

    def __init__(
        self,
        guest: Guest,
        *,
        readonly: bool = False,
        log_dirty: bool = False,
        first: Callable[[VM], object] | None = None,
    ) -> None:
        with ExitStack() as undo:
            self.kvm = undo.enter_context(Kvm())
            self.vm = undo.enter_context(self.kvm.create_vm())
            if first:
                first(self.vm)
            self.memory = GuestMemory(MEMORY_SIZE)
            undo.callback(self.memory.close)
            undo.callback(self.vm.close)  # before the memory, which its slot holds
            code = _bytes_of(guest)
            self.memory.write(ENTRY_GPA - MEMORY_GPA, code)
            self.slot = self.vm.add_memory(
                MEMORY_GPA, self.memory, readonly=readonly, log_dirty=log_dirty
            )
            if not ARM64 and guest is IDLE:
                self.vm.create_irqchip()  # without it HLT leaves the kernel
            self.vcpu = self.vm.create_vcpu(0)
            prepare(self.vcpu)
            self._undo = undo.pop_all()

    def close(self) -> None:
        self._undo.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def prepare(vcpu: Vcpu) -> None:
    """Brings a new vCPU to ENTRY_GPA, where an x86 processor is from the start."""
    if not ARM64:
        return
    vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2])
    registers = {
        "pc": ENTRY_GPA, "x0": DOORBELL_GPA, "x1": SECOND_GPA, "x2": VALUE, "x3": MEMORY_GPA,
    }  # fmt: skip
    for name, value in registers.items():
        vcpu.set_one_reg(name, value)


def _bytes_of(guest: Guest) -> bytes:
    if ARM64:
        return b"".join(struct.pack("<I", word) for word in guest.arm64)
    return bytes.fromhex(guest.x86)


def wire(vm: VM) -> None:
    """Gives a VM without vCPUs an interrupt controller that takes irqfds."""
    if ARM64:
        with vm.create_vcpu(0), vm.create_vgic() as vgic:
            vgic.init()
    else:
        vm.create_irqchip()
