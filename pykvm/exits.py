# SPDX-License-Identifier: Apache-2.0
"""Why a vCPU came back from the guest, as values for ``match``.

Each is an immutable copy: it stays true when the vCPU runs on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pykvm._described import Described
from pykvm._native import ffi, lib

__all__ = [
    "Exit",
    "FailEntry",
    "InternalError",
    "Interrupted",
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


class MmioRead(NamedTuple):
    """The guest loads ``size`` bytes from ``gpa``, where there is no memory.

    Answer with :meth:`Vcpu.mmio_reply` before the next run; without it the guest reads zero.
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
    """A :meth:`Vcpu.kick` ended the run. ``by`` is always "kick"."""

    by: str = "kick"


class SystemEvent(NamedTuple):
    """The guest wants the machine off, reset or suspended.

    ``type`` is a :class:`SystemEventType`, or a plain int where the kernel is newer than that;
    ``data`` are the event's words (for SHUTDOWN and RESET one, whose bit 0 tells the newer call).
    """

    type: int
    data: tuple[int, ...]


class FailEntry(NamedTuple):
    """The vCPU could not enter the guest; reason 1: on a CPU outside the set of the VM's PMU."""

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


Exit = MmioRead | MmioWrite | Interrupted | SystemEvent | FailEntry | InternalError | Unknown

_SYSTEM_EVENTS = {int(event): event for event in SystemEventType}


def exit_of(run: Any, reason: int) -> Exit:
    """The value for an exit, copied out of ``run``, the vCPU's kvm_run or a copy of its head."""
    if reason == lib.PYKVM_INTERRUPTED:
        return Interrupted()
    if reason == lib.KVM_EXIT_MMIO:
        mmio = run.mmio
        if mmio.is_write:
            return MmioWrite(int(mmio.phys_addr), ffi.buffer(mmio.data)[: mmio.len])
        return MmioRead(int(mmio.phys_addr), int(mmio.len))
    if reason == lib.KVM_EXIT_SYSTEM_EVENT:
        event = run.system_event
        kind = _SYSTEM_EVENTS.get(event.type, int(event.type))
        return SystemEvent(kind, tuple(event.data[0 : min(event.ndata, 16)]))
    if reason == lib.KVM_EXIT_FAIL_ENTRY:
        entry = run.fail_entry
        return FailEntry(int(entry.hardware_entry_failure_reason), int(entry.cpu))
    if reason == lib.KVM_EXIT_INTERNAL_ERROR:
        error = run.internal
        return InternalError(int(error.suberror), tuple(error.data[0 : min(error.ndata, 16)]))
    return Unknown(reason, bytes(ffi.buffer(run.padding)))
