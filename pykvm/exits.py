# SPDX-License-Identifier: Apache-2.0
"""Why a vCPU came back from the guest, as values for ``match``.

Each is an immutable copy: it stays true when the vCPU runs on. What only some kernels or VMs make
says which; everything else can come at any time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pykvm._described import Described
from pykvm._native import ffi, lib

__all__ = [
    "ArmLdst64b",
    "ArmNisv",
    "ArmSea",
    "Debug",
    "DebugCause",
    "DirtyRingFull",
    "Exit",
    "FailEntry",
    "Hypercall",
    "InternalError",
    "Interrupted",
    "MemoryFault",
    "MmioRead",
    "MmioWrite",
    "SystemEvent",
    "SystemEventType",
    "Unknown",
]


class SystemEventType(Described):
    """What a :class:`SystemEvent` asks for."""

    SHUTDOWN = 1, "PSCI SYSTEM_OFF or SYSTEM_OFF2. Every vCPU is stopped."
    RESET = (
        2,
        "PSCI SYSTEM_RESET or SYSTEM_RESET2. Every vCPU is stopped until it is initialised again.",
    )
    CRASH = 3, "Never made by arm64."
    WAKEUP = 4, "A suspended vCPU has something to wake for."
    SUSPEND = 5, "PSCI SYSTEM_SUSPEND, where the VM asked to be told."


class DebugCause(Described):
    """What ended the run with :class:`Debug`: the exception classes that debugging makes."""

    BREAKPOINT = 0x30, "A hardware breakpoint: pc is its address."
    SINGLE_STEP = 0x32, "One instruction was done: pc is the next one."
    WATCHPOINT = 0x34, "A hardware watchpoint: pc is the access, which was not made."
    BKPT32 = 0x38, "BKPT of an AArch32 guest: pc is that instruction."
    BRK = 0x3C, "BRK: pc is that instruction."


class MmioRead(NamedTuple):
    """The guest loads ``size`` bytes from ``gpa``, where there is no memory.

    Answer with :meth:`Vcpu.mmio_reply` before the next run; without it the guest reads zero. Or let
    the load fail in the guest: :meth:`Vcpu.set_vcpu_events` with ``ext_dabt_pending``.
    """

    gpa: int
    size: int


class MmioWrite(NamedTuple):
    """The guest stored ``data`` at ``gpa``, where there is no memory (or only readable memory).

    ``data`` is 1, 2, 4 or 8 bytes as the guest would find them in memory.
    """

    gpa: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes that were stored."""
        return len(self.data)

    @property
    def value(self) -> int:
        """``data`` as a little-endian number, which is what all but big-endian guests store."""
        return int.from_bytes(self.data, "little")


class Interrupted(NamedTuple):
    """The run was ended from outside; the guest goes on with the next one.

    ``by`` is "kick" after a :meth:`Vcpu.kick`; "line" where a line of the vCPU's timers or PMU has
    changed, without a GIC in the kernel (:attr:`Vcpu.device_irq_level`); "signal" for one that
    :meth:`Vcpu.set_signal_mask` lets in and the thread blocks.
    """

    by: str = "kick"


class SystemEvent(NamedTuple):
    """The guest wants the machine off, reset or suspended.

    ``type`` is a :class:`SystemEventType`, or a plain int where the kernel is newer than that;
    ``data`` are the event's words (for SHUTDOWN and RESET one, whose bit 0 tells the newer call).
    """

    type: int
    data: tuple[int, ...]

    @property
    def is_newer_call(self) -> bool:
        """SYSTEM_OFF2 (to hibernate) instead of SYSTEM_OFF, SYSTEM_RESET2 of SYSTEM_RESET."""
        return bool(self.data) and bool(self.data[0] & 1)


class Hypercall(NamedTuple):
    """An SMC or HVC that :meth:`VM.set_smccc_filter` forwards. ``nr`` is the function's number.

    Arguments are in x1 to x6; results go to x0 to x3; pc is behind the instruction already.
    ``flags`` is as the kernel has it: bit 0 SMC, bit 1 a 16-bit instruction (AArch32).
    """

    nr: int
    flags: int = 0

    @property
    def is_smc(self) -> bool:
        """SMC instead of HVC."""
        return bool(self.flags & 1)

    @property
    def is_16bit(self) -> bool:
        """The instruction has two bytes (AArch32, T32)."""
        return bool(self.flags & 2)


class Debug(NamedTuple):
    """What :meth:`Vcpu.set_guest_debug` asked for has come.

    ``esr`` is the syndrome; ``far`` the address of the access, for watchpoints.
    """

    esr: int
    far: int

    @property
    def cause(self) -> int:
        """A :class:`DebugCause`, or the plain exception class where it is none of them."""
        number = self.esr >> 26 & 0x3F
        return _DEBUG_CAUSES.get(number, number)

    @property
    def comment(self) -> int:
        """The number in the guest's BRK or BKPT."""
        return self.esr & 0xFFFF


class ArmNisv(NamedTuple):
    """An access outside every slot that the hardware does not describe.

    Only with :meth:`VM.enable_arm_nisv_to_user`. Either do what the instruction at pc does and move
    pc behind it, or :meth:`Vcpu.set_vcpu_events` with ``ext_dabt_pending``. ``esr_iss`` is what
    there is of a syndrome, ``fault_ipa`` the guest physical address.
    """

    esr_iss: int
    fault_ipa: int

    @property
    def is_write(self) -> bool:
        """A store (or cache maintenance) instead of a load."""
        return bool(self.esr_iss & 1 << 6)


class ArmLdst64b(NamedTuple):
    """An access of 64 bytes (LD64B, ST64B and kin) outside every slot; as :class:`ArmNisv`.

    Only where the guest has these instructions.
    """

    esr_iss: int
    fault_ipa: int


class ArmSea(NamedTuple):
    """The guest met a memory error that the host could not deal with.

    Only with :meth:`VM.enable_arm_sea_to_user`. ``gpa`` is None where the hardware does not tell;
    ``gva`` is the guest virtual address, ``esr`` the syndrome. Usually the guest is given an
    external abort (:meth:`Vcpu.set_vcpu_events`), or ended.
    """

    esr: int
    gva: int
    gpa: int | None


class MemoryFault(NamedTuple):
    """The guest touched memory of a guest_memfd that the host cannot map as it is.

    ``gpa`` and ``size`` are the range, ``flags`` the kernel's (0 on arm64 so far); ``poisoned``
    means that the memory is broken. Put it right, then run on.
    """

    flags: int
    gpa: int
    size: int
    poisoned: bool = False


class DirtyRingFull(NamedTuple):
    """The vCPU's dirty ring is as good as full: collect its pages, then reset the rings."""


class FailEntry(NamedTuple):
    """The vCPU could not enter the guest.

    ``reason`` 1: on the host's ``cpu``, which is none of those that the VM's PMU is for. Reason 0:
    its state is one that no CPU can have; it must be initialised again.
    """

    reason: int
    cpu: int


class InternalError(NamedTuple):
    """KVM met something that it cannot handle; ``data`` are words for the kernel's developers."""

    suberror: int
    data: tuple[int, ...]


class Unknown(NamedTuple):
    """An exit that this version has no value for: its number, and the raw union of kvm_run."""

    reason: int
    raw: bytes


Exit = (
    MmioRead | MmioWrite | Interrupted | SystemEvent | Hypercall | Debug | ArmNisv | ArmLdst64b
    | ArmSea | MemoryFault | DirtyRingFull | FailEntry | InternalError | Unknown
)  # fmt: skip

_SYSTEM_EVENTS = {int(event): event for event in SystemEventType}
_DEBUG_CAUSES = {int(cause): cause for cause in DebugCause}


def exit_of(run: Any, reason: int) -> Exit:
    """The value for an exit, copied out of ``run``, the vCPU's kvm_run or a copy of its head."""
    if reason == lib.PYKVM_INTERRUPTED:
        return Interrupted()
    if reason == lib.KVM_EXIT_MMIO:
        mmio = run.mmio
        if mmio.is_write:
            return MmioWrite(int(mmio.phys_addr), ffi.buffer(mmio.data)[: mmio.len])
        return MmioRead(int(mmio.phys_addr), int(mmio.len))
    return _rare_exit_of(run, reason)


def _rare_exit_of(run: Any, reason: int) -> Exit:
    if reason == lib.KVM_EXIT_SYSTEM_EVENT:
        event = run.system_event
        kind = _SYSTEM_EVENTS.get(event.type, int(event.type))
        return SystemEvent(kind, tuple(event.data[0 : min(event.ndata, 16)]))
    if reason == lib.KVM_EXIT_HYPERCALL:
        return Hypercall(int(run.hypercall.nr), int(run.hypercall.flags))
    if reason == lib.KVM_EXIT_DEBUG:
        arch = run.debug.arch
        high = arch.hsr_high if run.flags & lib.KVM_DEBUG_ARCH_HSR_HIGH_VALID else 0
        return Debug(int(arch.hsr) | int(high) << 32, int(arch.far))
    if reason == lib.KVM_EXIT_INTR:
        return Interrupted("line")
    if reason == lib.PYKVM_SIGNAL:
        return Interrupted("signal")
    if reason == lib.KVM_EXIT_ARM_NISV:
        return ArmNisv(int(run.arm_nisv.esr_iss), int(run.arm_nisv.fault_ipa))
    if reason == lib.KVM_EXIT_ARM_LDST64B:
        return ArmLdst64b(int(run.arm_nisv.esr_iss), int(run.arm_nisv.fault_ipa))
    if reason == lib.KVM_EXIT_ARM_SEA:
        sea = run.arm_sea
        valid = sea.flags & lib.KVM_EXIT_ARM_SEA_FLAG_GPA_VALID
        return ArmSea(int(sea.esr), int(sea.gva), int(sea.gpa) if valid else None)
    if reason in (lib.KVM_EXIT_MEMORY_FAULT, lib.PYKVM_POISONED):
        fault = run.memory_fault
        poisoned = reason == lib.PYKVM_POISONED
        return MemoryFault(int(fault.flags), int(fault.gpa), int(fault.size), poisoned)
    if reason == lib.KVM_EXIT_DIRTY_RING_FULL:
        return DirtyRingFull()
    if reason == lib.KVM_EXIT_FAIL_ENTRY:
        entry = run.fail_entry
        return FailEntry(int(entry.hardware_entry_failure_reason), int(entry.cpu))
    if reason == lib.KVM_EXIT_INTERNAL_ERROR:
        error = run.internal
        return InternalError(int(error.suberror), tuple(error.data[0 : min(error.ndata, 16)]))
    return Unknown(reason, bytes(ffi.buffer(run.padding)))
