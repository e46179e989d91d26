# SPDX-License-Identifier: Apache-2.0
"""MMIO ranges, and a vCPU in a thread of its own."""

from __future__ import annotations

from pykvm import (
    VM,
    EventFd,
    Exit,
    MmioCounter,
    MmioLatch,
    MmioRange,
    MmioRing,
    SystemEvent,
    Vcpu,
    VcpuThread,
)


def ranges(vm: VM) -> int:
    def read(offset: int, size: int) -> int:
        return offset + size

    def write(offset: int, size: int, value: int) -> None:
        print(offset, size, value)

    plain: list[MmioRange] = [
        vm.mmio_handler(0x1000, 8, read=read, write={4: write}),
        vm.mmio_constant(0x2000, 4, 0x74726976),
        vm.mmio_constant(0x2008, 4, b"virt"),
        vm.mmio_ignore(0x3000, 0x1000),
    ]
    latch: MmioLatch = vm.mmio_latch(0x4000, 4, 7, read_only=True)
    latch.value = latch.value + 1
    counter: MmioCounter = vm.mmio_counter(0x5000, 0x100)
    told = EventFd()
    ring: MmioRing = vm.mmio_ring(0x6000, 8, write, read=read, capacity=64, eventfd=told)
    ring.deliver()
    values = [value for _, _, value in ring.take()]
    for one in (*plain, latch, counter, ring):
        assert not one.closed
        one.close()
    return counter.loads + counter.stores + sum(values) + ring.capacity + ring.gpa + ring.size


async def thread(vcpu: Vcpu) -> bool:
    def handler(exit: Exit) -> object:
        return exit if isinstance(exit, SystemEvent) else None

    with VcpuThread(vcpu, handler, name="vCPU") as running:
        assert not running.ended
        assert not running.closed
        last: Exit = await running
        last = running.join(timeout=1.0)
        stopped: Exit | None = running.stop(timeout=None)
        running.close()
    vcpu.complete_mmio()
    return running.fileno() >= 0 and last == stopped
