# SPDX-License-Identifier: Apache-2.0
"""Debugging a guest from outside: that part of :class:`pykvm.Vcpu`.

Source: Arm ARM, chapters D2 (self-hosted debug) and D24 (DBGBCR<n>_EL1, DBGWCR<n>_EL1).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import NamedTuple

from pykvm._descriptor import Descriptor, check_int
from pykvm._native import ffi, lib
from pykvm._vmcore import VmCore
from pykvm.caps import Cap

__all__ = ["Breakpoint", "DebugRegisters", "GuestDebug", "GuestDebugControl", "Watchpoint"]

_U64 = 2**64 - 1
_ENABLE = 1
_EL1_AND_EL0 = 3 << 1
#: A watchpoint of up to 8 bytes chooses them one by one, a larger one masks address bits.
_SELECTABLE = 8


class GuestDebugControl(IntFlag):
    """What :meth:`Vcpu.set_guest_debug` switches on; each comes back as :class:`~pykvm.Debug`."""

    ENABLE = 1
    SINGLESTEP = 2
    USE_SW_BP = 1 << 16
    USE_HW = 1 << 17


class DebugRegisters(NamedTuple):
    """One hardware breakpoint or watchpoint as its two registers hold it."""

    control: int
    value: int


class Breakpoint(NamedTuple):
    """Stops before the instruction at ``address`` (virtual, a multiple of 4), at EL1 and EL0."""

    address: int

    def registers(self) -> DebugRegisters:
        """DBGBCR and DBGBVR."""
        address = check_int("address", self.address, 0, _U64)
        if address % 4:
            raise ValueError(f"address is {address:#x}; instructions are at multiples of 4")
        return DebugRegisters(0xF << 5 | _EL1_AND_EL0 | _ENABLE, address)


class Watchpoint(NamedTuple):
    """Stops at loads (``read``) and stores (``write``) of bytes from ``address`` on.

    ``size`` is 1 to 8 bytes that no multiple of 8 divides, or a power of two up to 2 GiB of which
    ``address`` (virtual) is a multiple. At EL1 and EL0.
    """

    address: int
    size: int = 8
    read: bool = True
    write: bool = True

    def registers(self) -> DebugRegisters:
        """DBGWCR and DBGWVR."""
        address = check_int("address", self.address, 0, _U64)
        size = check_int("size", self.size, 1, 1 << 31)
        access = bool(self.read) | bool(self.write) << 1
        if not access:
            raise ValueError("a watchpoint needs read or write")
        control = access << 3 | _EL1_AND_EL0 | _ENABLE
        first = address % _SELECTABLE
        if first + size <= _SELECTABLE:
            chosen = (1 << size) - 1 << first
            return DebugRegisters(control | chosen << 5, address - first)
        if size & size - 1 or address % size:
            raise ValueError(
                f"{size} bytes from {address:#x} on cannot be watched by one watchpoint: up to 8 "
                f"within a multiple of 8, or a power of two at a multiple of it"
            )
        return DebugRegisters(control | 0xFF << 5 | size.bit_length() - 1 << 24, address)


class GuestDebug:
    """The part of a vCPU that debugs its guest."""

    __slots__ = ()

    _core: Descriptor
    _vm_core: VmCore

    def set_guest_debug(
        self,
        control: GuestDebugControl | int = 0,
        *,
        breakpoints: Iterable[Breakpoint | DebugRegisters] = (),
        watchpoints: Iterable[Watchpoint | DebugRegisters] = (),
    ) -> None:
        """KVM_SET_GUEST_DEBUG: what comes back as :class:`~pykvm.Debug`; replaces what was set.

        Capability: SET_GUEST_DEBUG; SET_GUEST_DEBUG2 has the bits of ``control``,
        GUEST_DEBUG_HW_BPS and GUEST_DEBUG_HW_WPS how many points there can be; arm64.

        The guest's own debugging rests meanwhile. Without arguments all is off. run() stops at a
        point again and again until that is gone or pc is moved: step over it with SINGLESTEP alone.
        Args: ``control``: :class:`GuestDebugControl` bits: SINGLESTEP, USE_SW_BP (every BRK comes
        here). ENABLE and USE_HW come by themselves. ``breakpoints``, ``watchpoints``: values.
        Errors: EINVAL a bit that this kernel lacks; ValueError more points than the host has.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.87.
        """
        control = check_int("control", control, 0, 2**32 - 1)
        debug = ffi.new("struct kvm_guest_debug *")
        arch = debug.arch
        points = 0
        for name, given, kind, cap, controls, values in (
            ("breakpoints", breakpoints, Breakpoint, Cap.GUEST_DEBUG_HW_BPS, "bcr", "bvr"),
            ("watchpoints", watchpoints, Watchpoint, Cap.GUEST_DEBUG_HW_WPS, "wcr", "wvr"),
        ):
            registers = _registers(name, given, kind)
            if registers:
                self._check_room(name, len(registers), cap)
            for number, (control_register, value) in enumerate(registers):
                getattr(arch, f"dbg_{controls}")[number] = control_register
                getattr(arch, f"dbg_{values}")[number] = value
            points += len(registers)
        if points:
            control |= GuestDebugControl.USE_HW
        if control:
            control |= GuestDebugControl.ENABLE
        debug.control = control
        self._core.call(lib.set_guest_debug, "KVM_SET_GUEST_DEBUG", debug, control=control)

    def _check_room(self, name: str, wanted: int, cap: Cap) -> None:
        """The kernel takes 16 of each, and leaves those in silence that the host lacks."""
        there = self._vm_core.call(lib.check_extension, "KVM_CHECK_EXTENSION", cap, cap=cap)
        if wanted > min(there, lib.KVM_ARM_MAX_DBG_REGS):
            raise ValueError(f"{wanted} {name}, but this host has {there}")


def _registers(name: str, given: object, kind: type) -> list[DebugRegisters]:
    """The registers of several points, or a TypeError that names them."""
    try:
        points = list(given)  # type: ignore[call-overload]
    except TypeError:
        raise TypeError(f"{name} must be several, not {type(given).__name__}") from None
    found = []
    for point in points:
        if isinstance(point, kind):
            point = point.registers()  # type: ignore[attr-defined]
        elif not isinstance(point, DebugRegisters):
            raise TypeError(
                f"{name} must be {kind.__name__} or DebugRegisters, not {type(point).__name__}"
            )
        control = check_int("control", point.control, 0, _U64)
        found.append(DebugRegisters(control, check_int("value", point.value, 0, _U64)))
    return found
