# SPDX-License-Identifier: Apache-2.0
"""vCPUs, each in a thread of its own, and what becomes of those exits that are no device's.

The first one starts; the guest starts the others, by PSCI, which KVM serves in the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from minivmm.bus import Bus, Unclaimed
from minivmm.endings import Ending, Outcome
from minivmm.events import EventLoop
from minivmm.layout import PMU_INTID
from pykvm import (
    VM,
    Cap,
    Exit,
    Interrupted,
    KvmError,
    MmioRead,
    MmioWrite,
    MpState,
    SystemEvent,
    SystemEventType,
    Vcpu,
    VcpuFeature,
    VcpuThread,
)

#: PSTATE at the kernel's entry: EL1 with its own stack, all interrupts masked.
_EL1H_MASKED = 0x3C5
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
        self._threads: list[VcpuThread] = []
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

    def start(self, entry: int, tree: int, bus: Bus, loop: EventLoop, outcome: Outcome) -> None:
        """The first CPU at ``entry``, with x0 = ``tree``, and the boot protocol's zeros.

        ``loop`` waits for their ends, and ``outcome`` hears of them.
        """
        first = self._vcpus[0]
        first.set_one_reg("pc", entry)
        first.set_one_reg("pstate", _EL1H_MASKED)
        for number in range(4):
            first.set_one_reg(f"x{number}", tree if number == 0 else 0)
        self._outcome = outcome
        for vcpu in self._vcpus:
            thread = VcpuThread(vcpu, partial(self._left, vcpu, bus))
            self._threads.append(thread)
            loop.watch(thread, partial(self._conclude, thread.vcpu, thread.join))

    def _left(self, vcpu: Vcpu, bus: Bus, why: Exit) -> Exit | None:
        """The guest was left, and no device is meant. None: it goes on; else it has come to an end.

        A suspended system is its last CPU, which waits for something to wake for.
        """
        match why:
            case MmioWrite(gpa, data):
                bus.nobody("store", gpa, len(data))
            case MmioRead(gpa, size):
                bus.nobody("load", gpa, size)
                vcpu.mmio_reply(0)
            case SystemEvent(SystemEventType.SUSPEND):
                vcpu.set_mp_state(MpState.SUSPENDED)
            case SystemEvent(SystemEventType.WAKEUP):
                self._wake(vcpu)
            case Interrupted():
                pass
            case _:
                return why
        return None

    def _wake(self, vcpu: Vcpu) -> None:
        """As from power-on, where the guest wanted to be woken when it suspended the system."""
        entry, context = vcpu.get_one_reg("x1"), vcpu.get_one_reg("x2")
        self._init(vcpu)
        vcpu.set_one_reg("pstate", _EL1H_MASKED)
        vcpu.set_one_reg("pc", entry)
        vcpu.set_one_reg("x0", context)

    def _conclude(self, vcpu: Vcpu, last_exit: Callable[[], Exit | None]) -> None:
        """What the end of a vCPU's thread means for the machine."""
        end = self._outcome.end
        try:
            last = last_exit()
        except TimeoutError:
            return  # it waits for a stdout that nobody reads; the thread is a daemon
        except Unclaimed as access:
            end(Ending.CRASH, f"--strict: {access}, pc {_pc(vcpu)}")
        except KvmError as refusal:
            end(Ending.CRASH, f"vCPU {vcpu.vcpu_id} at pc {_pc(vcpu)}: {refusal}")
        except Exception as failure:
            self._outcome.fail(failure)
        else:
            match last:
                case Interrupted():
                    pass
                case SystemEvent(SystemEventType.SHUTDOWN):
                    end(Ending.POWER_OFF, "the guest is off")
                case SystemEvent(SystemEventType.RESET):
                    end(Ending.RESET, "the guest wants a reset")
                case other:
                    end(Ending.CRASH, f"vCPU {vcpu.vcpu_id} at pc {_pc(vcpu)}: {other}")

    def stop(self) -> None:
        """Every vCPU leaves the guest, and its thread ends."""
        for thread in self._threads:
            self._conclude(thread.vcpu, thread.stop)


def _pc(vcpu: Vcpu) -> str:
    try:
        return f"{vcpu.get_one_reg('pc'):#x}"
    except KvmError:
        return "unknown"
