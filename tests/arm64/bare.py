# SPDX-License-Identifier: Apache-2.0
"""Guests of a few instructions on a vCPU of any kind: AArch32, EL2, without PSCI.

Nothing is set up for them, and an exception leads nowhere: where the instructions may take one, the
guest `execute` is the place. They report by a store to where there is no memory.
"""

from __future__ import annotations

import struct

from tinyvm import vgic_frames

from pykvm import VM, GuestMemory, MmioWrite, Vcpu

RAM_GPA = 0x4000_0000
#: Nothing behind it: it is the guest's x0 at first.
MMIO_GPA = 0x0A00_0000


def put(vm: VM, *instructions: int) -> None:
    """Gives a VM its memory, which begins with these instructions."""
    memory = GuestMemory(2 << 20)
    memory.write(0, struct.pack(f"<{len(instructions)}I", *instructions))
    vm.add_memory(RAM_GPA, memory)


def add_gic(vm: VM) -> None:
    """Gives a VM, after its vCPUs, what those at EL2 do not run without."""
    vgic = vm.create_vgic()
    vgic_frames(vgic)
    vgic.init()


def start(vcpu: Vcpu, **registers: int) -> None:
    """Puts an initialised vCPU before the first instruction, with these registers."""
    for name, value in {"pc": RAM_GPA, "x0": MMIO_GPA, **registers}.items():
        vcpu.set_one_reg(name, value)


def stored(vcpu: Vcpu) -> int:
    """Runs the vCPU to its next store, and returns what that stores."""
    match vcpu.run():
        case MmioWrite(gpa, data) if gpa == MMIO_GPA:
            return int.from_bytes(data, "little")
        case other:
            raise AssertionError(f"the guest stored nothing: {other}")
