# SPDX-License-Identifier: Apache-2.0
"""vCPUs, and the loop that runs each of them in a thread.

The first one starts; the guest starts the others, by PSCI, which KVM serves in the kernel.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress

from minivmm.bus import Device, Unclaimed
from minivmm.endings import Ending, Outcome
from minivmm.layout import PMU_INTID
from pykvm import (
    VM,
    Cap,
    Interrupted,
    KvmError,
    MmioRead,
    MmioWrite,
    MpState,
    SystemEvent,
    SystemEventType,
    Vcpu,
    VcpuFeature,
)

#: PSTATE at the kernel's entry: EL1 with its own stack, all interrupts masked.
_EL1H_MASKED = 0x3C5
#: Seconds for a vCPU's thread to end.
_PATIENCE = 5
_AFFINITY = 0xFF_00FF_FFFF


class Cpus:
    """``features`` are given to each CPU; memory tags (MTE) are the whole VM's, by ``has_mte``."""

    def __init__(
        self, vm: VM, count: int, features: Iterable[VcpuFeature] = (), *, has_mte: bool = False
    ) -> None:
        if has_mte:
            vm.enable_arm_mte()
        if vm.check_extension(Cap.ARM_SYSTEM_SUSPEND):
            vm.enable_arm_system_suspend()
        self._features = [VcpuFeature.PSCI_0_2, *features]
        self._vcpus = [vm.create_vcpu(number) for number in range(count)]
        self._threads: list[threading.Thread] = []
        self._stopping = False
        for number, vcpu in enumerate(self._vcpus):
            self._init(vcpu, asleep=number > 0)

    def _init(self, vcpu: Vcpu, *, asleep: bool = False) -> None:
        """The state of power-on; ``asleep``: until the guest starts it."""
        vcpu.arm_vcpu_init([*self._features, VcpuFeature.POWER_OFF] if asleep else self._features)
        if VcpuFeature.SVE in self._features:
            with suppress(KvmError):  # done before: what was finalised stays so
                vcpu.arm_vcpu_finalize(VcpuFeature.SVE)

    def init_pmus(self) -> None:
        """Once there is an interrupt controller to hear them."""
        for vcpu in self._vcpus:
            vcpu.pmu_irq = PMU_INTID
            vcpu.pmu_init()

    def __len__(self) -> int:
        return len(self._vcpus)

    @property
    def affinities(self) -> list[int]:
        """How the guest addresses each CPU: the affinity fields of its MPIDR_EL1."""
        return [vcpu.get_one_reg("mpidr_el1") & _AFFINITY for vcpu in self._vcpus]

    def start(self, entry: int, tree: int, bus: Device, outcome: Outcome) -> None:
        """The first CPU at ``entry``, with x0 = ``tree``, and the boot protocol's zeros."""
        first = self._vcpus[0]
        first.set_one_reg("pc", entry)
        first.set_one_reg("pstate", _EL1H_MASKED)
        for number in range(4):
            first.set_one_reg(f"x{number}", tree if number == 0 else 0)
        for vcpu in self._vcpus:
            # A daemon: one that waits for a stdout that nobody reads must not hold up the end.
            thread = threading.Thread(
                target=self._run,
                args=(vcpu, bus, outcome),
                name=f"vCPU {vcpu.vcpu_id}",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

    def _run(self, vcpu: Vcpu, bus: Device, outcome: Outcome) -> None:
        try:
            ending, why = self._until_the_end(vcpu, bus)
        except Unclaimed as access:
            ending, why = Ending.CRASH, f"--strict: {access}, pc {_pc(vcpu)}"
        except KvmError as refusal:
            ending, why = Ending.CRASH, f"vCPU {vcpu.vcpu_id} at pc {_pc(vcpu)}: {refusal}"
        except BaseException as failure:
            outcome.fail(failure)
            return
        if ending is not None:
            outcome.end(ending, why)

    def _until_the_end(self, vcpu: Vcpu, bus: Device) -> tuple[Ending | None, str]:
        """The loop. An interrupted vCPU goes on, unless all of them are to stop."""
        run, reply, load, store = vcpu.run, vcpu.mmio_reply, bus.read, bus.write
        while True:
            match run():
                case MmioWrite(gpa, data):
                    store(gpa, len(data), int.from_bytes(data, "little"))
                case MmioRead(gpa, size):
                    reply(load(gpa, size))
                case Interrupted():
                    if self._stopping:
                        return None, ""
                case SystemEvent(SystemEventType.SUSPEND):
                    self._sleep(vcpu)
                case SystemEvent(SystemEventType.SHUTDOWN):
                    return Ending.POWER_OFF, "the guest is off"
                case SystemEvent(SystemEventType.RESET):
                    return Ending.RESET, "the guest wants a reset"
                case other:
                    return Ending.CRASH, f"vCPU {vcpu.vcpu_id} at pc {_pc(vcpu)}: {other}"

    def _sleep(self, vcpu: Vcpu) -> None:
        """Suspends the system: its last CPU waits for something to wake for, then starts again
        where the guest wants it to."""
        entry, context = vcpu.get_one_reg("x1"), vcpu.get_one_reg("x2")
        vcpu.set_mp_state(MpState.SUSPENDED)
        while not self._stopping:
            match vcpu.run():
                case SystemEvent(SystemEventType.WAKEUP):
                    break
        self._init(vcpu)
        vcpu.set_one_reg("pstate", _EL1H_MASKED)
        vcpu.set_one_reg("pc", entry)
        vcpu.set_one_reg("x0", context)

    def stop(self) -> None:
        """Every vCPU leaves the guest, and its thread ends."""
        self._stopping = True
        for vcpu, thread in zip(self._vcpus, self._threads, strict=False):
            if thread.is_alive():
                vcpu.kick()
            thread.join(_PATIENCE)


def _pc(vcpu: Vcpu) -> str:
    try:
        return f"{vcpu.get_one_reg('pc'):#x}"
    except KvmError:
        return "unknown"
