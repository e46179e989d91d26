# SPDX-License-Identifier: Apache-2.0
"""Guests of a few instructions on a vCPU of any kind: AArch32, EL2, without PSCI.

Nothing is set up for them, and an exception leads nowhere: where the instructions may take one, the
guest `execute` is the place. They report by a store to where there is no memory.
"""

from __future__ import annotations

import struct

from pykvm import VM, GuestMemory, MmioWrite, Vcpu

RAM_GPA = 0x4000_0000
#: Nothing behind it: it is the guest's x0 at first.
MMIO_GPA = 0x0A00_0000


def put(vm: VM, *instructions: int) -> None:
    """Gives a VM its memory, which begins with these instructions."""
    memory = GuestMemory(2 << 20)
    memory.write(0, struct.pack(f"<{len(instructions)}I", *instructions))
    vm.add_memory(RAM_GPA, memory)


def start(vcpu: Vcpu) -> None:
    """Puts an initialised vCPU before the first instruction."""
    vcpu.set_one_reg("pc", RAM_GPA)
    vcpu.set_one_reg("x0", MMIO_GPA)


def stored(vcpu: Vcpu) -> int:
    """Runs the vCPU to its next store, and returns what that stores."""
    match vcpu.run():
        case MmioWrite(gpa, data) if gpa == MMIO_GPA:
            return int.from_bytes(data, "little")
        case other:
            raise AssertionError(f"the guest stored nothing: {other}")
