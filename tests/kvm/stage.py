# SPDX-License-Identifier: Apache-2.0
"""One object of each kind, made when it is asked for: what the calls of the table are made on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

from pykvm import DeviceType, EventFd, GuestMemory, Kvm, LevelLine, MmioRead, VcpuThread, VgicV5
from tests.kvm.machines import ARM64, DOORBELL_GPA, ECHO, MEMORY_GPA, MEMORY_SIZE, Machine


def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The coroutine's result; None where it would wait."""

    async def briefly() -> Any:
        try:
            return await asyncio.wait_for(coroutine, 0.01)
        except TimeoutError:
            return None

    return asyncio.run(briefly())


class Stage:
    """The objects, by name: ``kvm``, ``vm``, ``vcpu``, ``eventfd``, … ``with`` ends them all."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._made: dict[str, Any] = {}

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = getattr(self, f"_make_{name}")()
        return self._made[name]

    def _make_kvm(self) -> Any:
        return self._undo.enter_context(Kvm())

    def _make_memory(self) -> Any:
        return self._undo.enter_context(GuestMemory(MEMORY_SIZE))

    def _make_eventfd(self) -> Any:
        return self._undo.enter_context(EventFd())

    def _make_file(self) -> Any:
        fd = os.memfd_create("guest-memory")
        self._undo.callback(os.close, fd)
        os.ftruncate(fd, MEMORY_SIZE)
        return fd

    def _make_vm(self) -> Any:
        assert self["memory"]  # before the VM, whose slots may hold it
        return self._undo.enter_context(self["kvm"].create_vm())

    def _make_wired(self) -> Any:
        """A VM that takes irqfds."""
        if ARM64:
            assert self["vcpu"]
            self["vm"].create_vgic().init()
        else:
            self["vm"].create_irqchip()
        return self["vm"]

    def _make_vcpu(self) -> Any:
        return self._undo.enter_context(self["vm"].create_vcpu(0))

    def _make_running(self) -> Any:
        """A vCPU that would come back from run(), because it was kicked."""
        machine = self._undo.enter_context(Machine(ECHO))
        machine.vcpu.kick()
        return machine.vcpu

    def _make_loading(self) -> Any:
        """A vCPU whose guest waits for the value of a load."""
        machine = self._undo.enter_context(Machine(ECHO))
        assert machine.vcpu.run() == MmioRead(DOORBELL_GPA, 4)
        return machine.vcpu

    def _make_range(self) -> Any:
        return self["vm"].mmio_ignore(DOORBELL_GPA, 8)

    def _make_latch(self) -> Any:
        return self["vm"].mmio_latch(DOORBELL_GPA, 4)

    def _make_counter(self) -> Any:
        return self["vm"].mmio_counter(DOORBELL_GPA, 8)

    def _make_ring(self) -> Any:
        return self["vm"].mmio_ring(DOORBELL_GPA, 8)

    def _make_handled_ring(self) -> Any:
        return self["vm"].mmio_ring(DOORBELL_GPA, 8, print)

    def _make_thread(self) -> Any:
        """A thread that ends by itself, because its vCPU was kicked."""
        return self._undo.enter_context(VcpuThread(self["running"]))

    def _make_slot(self) -> Any:
        return self["vm"].add_memory(MEMORY_GPA, self["memory"])

    def _make_logged(self) -> Any:
        """A slot that keeps a dirty log, which has to be cleared by range."""
        self["vm"].enable_manual_dirty_log_protect2()
        return self["vm"].add_memory(MEMORY_GPA, self["memory"], log_dirty=True)

    def _make_ringed(self) -> Any:
        """A vCPU that has a dirty ring."""
        self["vm"].enable_dirty_log_ring(1 << 16)
        return self._undo.enter_context(self["vm"].create_vcpu(0))

    def _make_guest_memfd(self) -> Any:
        return self._undo.enter_context(self["vm"].create_guest_memfd(MEMORY_SIZE))

    def _make_memfd_vm(self) -> Any:
        assert self["guest_memfd"]
        return self["vm"]

    def _make_coalesced(self) -> Any:
        return self["vm"].register_coalesced_mmio(DOORBELL_GPA, 8)

    def _make_ioeventfd(self) -> Any:
        return self["vm"].ioeventfd(DOORBELL_GPA, 8)

    def _make_irqfd(self) -> Any:
        return self["wired"].irqfd(gsi=8)

    def _make_level(self) -> Any:
        return self["wired"].irqfd(gsi=8, resample=True)

    def _make_line(self) -> Any:
        return LevelLine(self["level"], lambda: True)

    def _make_statistics(self) -> Any:
        return self._undo.enter_context(self["vcpu"].get_stats_fd())

    def _make_its(self) -> Any:
        return self._undo.enter_context(self["vm"].create_its())

    def _make_placed_its(self) -> Any:
        self["its"].addr = 0x8080000
        return self["its"]

    def _make_device(self) -> Any:
        return self._undo.enter_context(self["vm"].create_device(DeviceType.VFIO))

    def _make_vfio(self) -> Any:
        return self._undo.enter_context(self["vm"].create_vfio())

    def _make_vgicv5(self) -> Any:
        """On VFIO's device: no emulated host can make a GICv5, but each call reaches a kernel."""
        vm = self["vm"]
        return self._undo.enter_context(vm._made(VgicV5(vm, vm._core, DeviceType.VFIO)))

    def _make_vgicv2(self) -> Any:
        assert self["vcpu"]
        return self._undo.enter_context(self["vm"].create_vgic(2))

    def _make_vgicv3(self) -> Any:
        assert self["vcpu"]
        return self._undo.enter_context(self["vm"].create_vgic(3))

    def _make_placed_vgicv2(self) -> Any:
        vgic = self["vgicv2"]
        vgic.dist_addr, vgic.cpu_addr = 0x8000000, 0x8010000
        vgic.init()
        return vgic

    def _make_placed_vgicv3(self) -> Any:
        vgic = self["vgicv3"]
        vgic.dist_addr, vgic.redist_addr = 0x8000000, 0x80A0000
        vgic.init()
        return vgic

    def _make_vgic(self) -> Any:
        assert self["vcpu"]
        return self._undo.enter_context(self["vm"].create_vgic())
