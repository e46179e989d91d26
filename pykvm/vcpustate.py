# SPDX-License-Identifier: Apache-2.0
"""What a vCPU is up to, besides its registers: that part of :class:`pykvm.Vcpu`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pykvm._described import Described
from pykvm._descriptor import Descriptor, check_int, check_ints
from pykvm._native import ffi, lib
from pykvm.kick import claim_kick_signal

__all__ = ["DeviceIrqLevel", "MpState", "VcpuEvents", "VcpuState"]

#: What an SError's syndrome may hold: bits 24 to 0 of ESR.
_LARGEST_ISS = 2**25 - 1


class MpState(Described):
    """Whether a vCPU can run."""

    RUNNABLE = 0, "It runs the guest."
    STOPPED = 5, "Off: run() waits until PSCI CPU_ON, or until it is set RUNNABLE."
    SUSPENDED = 10, "run() waits for something to wake for, then gives the event WAKEUP."


class VcpuEvents(NamedTuple):
    """Exceptions that wait for the guest.

    ``serror_pending``: an SError, taken as soon as the guest unmasks it; ``serror_esr`` is its
    syndrome (ESR bits 24:0), None for the host's default or without RAS. ``ext_dabt_pending``: an
    external abort of the access that the last exit was about; never read back.
    """

    serror_pending: bool = False
    serror_esr: int | None = None
    ext_dabt_pending: bool = False


class DeviceIrqLevel(NamedTuple):
    """Lines of the vCPU's own devices, which KVM shows where the GIC is not its own.

    ``bits`` is as the kernel has it: 1 the virtual timer, 2 the physical timer, 4 the PMU.
    """

    bits: int

    @property
    def vtimer(self) -> bool:
        """Whether the virtual timer's line is up."""
        return bool(self.bits & 1)

    @property
    def ptimer(self) -> bool:
        """Whether the physical timer's line is up."""
        return bool(self.bits & 2)

    @property
    def pmu(self) -> bool:
        """Whether the PMU's line is up."""
        return bool(self.bits & 4)


class VcpuState:
    """The part of a vCPU that stops, suspends and interrupts it."""

    __slots__ = ()

    _core: Descriptor
    _context: Any

    def get_mp_state(self) -> MpState | int:
        """KVM_GET_MP_STATE: whether the vCPU can run.

        Capability: MP_STATE.

        Returns: a :class:`MpState`, or a plain int where the kernel is newer than that.
        Errors: none of its own.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.38.
        """
        state = self._core.call(lib.get_mp_state, "KVM_GET_MP_STATE")
        return _MP_STATES.get(state, state)

    def set_mp_state(self, state: MpState | int) -> None:
        """KVM_SET_MP_STATE: stops the vCPU, suspends it, or lets it run.

        Capability: MP_STATE; ARM_SYSTEM_SUSPEND for SUSPENDED.

        SUSPENDED lasts until it is set otherwise: each run() then gives the event WAKEUP at once
        while there is something to wake for.
        Args: ``state``: a :class:`MpState`.
        Errors: EINVAL no such state here.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.39.
        """
        state = check_int("state", state, 0, 2**32 - 1)
        self._core.call(lib.set_mp_state, "KVM_SET_MP_STATE", state, state=state)

    def get_vcpu_events(self) -> VcpuEvents:
        """KVM_GET_VCPU_EVENTS: what waits for the guest.

        Capability: VCPU_EVENTS; arm64.

        Returns: :class:`VcpuEvents`, as set_vcpu_events() takes them.
        Errors: ENOEXEC the vCPU is not initialised.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.31.
        """
        events = ffi.new("struct kvm_vcpu_events *")
        self._core.call(lib.get_vcpu_events, "KVM_GET_VCPU_EVENTS", events)
        told = events.exception
        known = told.serror_pending and told.serror_has_esr
        return VcpuEvents(
            bool(told.serror_pending),
            int(told.serror_esr) if known else None,
            bool(told.ext_dabt_pending),
        )

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        """KVM_SET_VCPU_EVENTS: injects an SError or an external abort.

        Capability: VCPU_EVENTS; ARM_INJECT_SERROR_ESR for ``serror_esr``, ARM_INJECT_EXT_DABT for
        ``ext_dabt_pending``; arm64.

        An external abort answers the exits MmioRead, ArmNisv and ArmLdst64b. An SError that is
        pending cannot be taken back.
        Args: ``events``: :class:`VcpuEvents`.
        Errors: ENOEXEC the vCPU is not initialised, EINVAL a syndrome on a host without RAS.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.32.
        """
        if not isinstance(events, VcpuEvents):
            raise TypeError(f"events must be VcpuEvents, not {type(events).__name__}")
        argument = ffi.new("struct kvm_vcpu_events *")
        told = argument.exception
        told.serror_pending = bool(events.serror_pending)
        told.ext_dabt_pending = bool(events.ext_dabt_pending)
        if events.serror_esr is not None:
            told.serror_has_esr = 1
            told.serror_esr = check_int("serror_esr", events.serror_esr, 0, _LARGEST_ISS)
        self._core.call(lib.set_vcpu_events, "KVM_SET_VCPU_EVENTS", argument, **events._asdict())

    def set_signal_mask(self, signals: Iterable[int] | None) -> None:
        """KVM_SET_SIGNAL_MASK: the signals that are blocked while the guest runs.

        Capability: none.

        In place of the thread's own mask. Where a signal waits that the thread blocks and this mask
        does not, run() returns ``Interrupted("signal")``, at once and each time, until the thread
        takes the signal (signal.sigwait).
        Args: ``signals``: numbers, 1 to 64, or none of them; kicks' own is never blocked. None: the
        thread's mask counts again.
        Errors: none of the kernel's.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.21.
        """
        if signals is None:
            self._core.call(lib.clear_signal_mask, "KVM_SET_SIGNAL_MASK")
            lib.vcpu_masked(self._context, 0, 0)
            return
        numbers = set(check_ints("signals", signals, 1, 64)) - {claim_kick_signal()}
        mask = sum(1 << number - 1 for number in numbers)
        self._core.call(lib.set_signal_mask, "KVM_SET_SIGNAL_MASK", mask, blocked=sorted(numbers))
        lib.vcpu_masked(self._context, 1, mask)


_MP_STATES = {int(state): state for state in MpState}
