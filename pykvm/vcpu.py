# SPDX-License-Identifier: Apache-2.0
"""A virtual CPU: its registers, running it, and making it stop."""

from __future__ import annotations

import contextlib
import mmap
from _thread import RLock
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pykvm._attributes import ReadableAttributes
from pykvm._described import Described
from pykvm._descriptor import (
    Closing,
    Descriptor,
    check_int,
    check_ints,
    duplicate,
)
from pykvm._mapping import unmap
from pykvm._native import ffi, lib
from pykvm._raw import raw_ioctl
from pykvm._vmcore import Children
from pykvm.coalesced import VcpuCoalescedMmio
from pykvm.dirtyring import DirtyRing, VcpuDirtyRing
from pykvm.errors import ClosedError, failure, kvm_error, naming
from pykvm.guestdebug import GuestDebug
from pykvm.kick import claim_kick_signal
from pykvm.registerset import BulkRegisters
from pykvm.statistics import HasStatistics
from pykvm.vcpuattrs import VcpuAttributes
from pykvm.vcpurun import VcpuRun
from pykvm.vcpustate import DeviceIrqLevel, VcpuState
from pykvm.vcpusve import VcpuSve

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from pykvm._vmcore import VmCore

__all__ = ["Vcpu", "VcpuFeature"]


class VcpuFeature(Described):
    """What :meth:`Vcpu.arm_vcpu_init` can give a vCPU: bit numbers."""

    POWER_OFF = 0, "Starts stopped, until PSCI CPU_ON. May differ from one vCPU to the next."
    EL1_32BIT = 1, "AArch32 guest kernel. Needs ARM_EL1_32BIT."
    PSCI_0_2 = 2, "PSCI 0.2 and newer, served by the kernel. Needs ARM_PSCI_0_2."
    PMU_V3 = 3, "Performance monitor. Needs ARM_PMU_V3, and a set-up before the first run."
    SVE = 4, "Scalable vectors. Needs ARM_SVE, and to be finalised."
    PTRAUTH_ADDRESS = 5, "Pointer authentication of addresses; only together with PTRAUTH_GENERIC."
    PTRAUTH_GENERIC = 6, "Generic pointer authentication; only together with PTRAUTH_ADDRESS."
    HAS_EL2 = 7, "The guest is a hypervisor. Needs ARM_EL2, and a GICv3 before the first run."
    HAS_EL2_E2H0 = 8, "A guest hypervisor without VHE. Needs ARM_EL2_E2H0."
    PMU_V3_STRICT = 9, "No PMU of the host is chosen by itself. Needs ARM_PMU_V3_STRICT."


class Vcpu(
    VcpuRun, VcpuSve, BulkRegisters, VcpuState, GuestDebug, VcpuDirtyRing, VcpuCoalescedMmio,
    VcpuAttributes, HasStatistics, ReadableAttributes, Closing,
):  # fmt: skip
    """One virtual CPU, made by :meth:`VM.create_vcpu`.

    Attributes: ``vcpu_id``.

    Synchronization: one thread at a time; only :meth:`kick` crosses. Calls from a second thread
    wait in the kernel while the first is inside run().
    Source: Documentation/virt/kvm/api.rst, section 4, vCPU ioctls.
    """

    __slots__ = (
        "__weakref__", "_access", "_children", "_closing", "_context", "_dirty_ring", "_exit",
        "_hold", "_map", "_runs", "_turn", "_vm_core",
    )  # fmt: skip

    def __init__(self, vm_core: VmCore, vcpu_id: int) -> None:
        self._core = Descriptor(-1, f"Vcpu {vcpu_id}")
        self._children = Children()
        self._closing = RLock()
        self._vm_core = vm_core
        self.vcpu_id = vcpu_id
        signal = claim_kick_signal()
        self._dirty_ring = None
        ring_size = vm_core.dirty_ring_size
        # KVM cannot take a vCPU back, and each mapping needs a descriptor too: keep some for them,
        # so that where they run out nothing is made.
        with contextlib.ExitStack() as spares:
            for _ in range(2 if ring_size else 1):
                spares.enter_context(Descriptor(duplicate(vm_core.fd), "spare"))
            self._core.receive(
                vm_core, lib.create_vcpu, "KVM_CREATE_VCPU", vcpu_id, vcpu_id=vcpu_id
            )
        if vm_core.vcpu_ids is not None:
            vm_core.vcpu_ids.append(vcpu_id)
        try:
            # mmap counts its views: closing under a live one is refused, never a dangling pointer.
            with naming("mmap kvm_run", vcpu_id=vcpu_id):
                self._map = mmap.mmap(self._core.fd, vm_core.mmap_size)
            if ring_size:
                self._dirty_ring = DirtyRing(self._core.fd, ring_size, vcpu_id)
        except BaseException:
            self._core.close()
            raise
        self._hold = ffi.from_buffer("struct kvm_run *", self._map)
        self._context = ffi.new("struct pykvm_vcpu *")
        made = lib.vcpu_open(self._context, self._core.fd, self._hold, signal, vm_core.bus.table)
        if made < 0:
            self._core.close()
            raise kvm_error(-made, "create vCPU", vcpu_id=vcpu_id)
        self._exit = lib.vcpu_exit(self._context)
        self._runs = False
        #: Where there is no GIL: who runs it, if anybody.
        self._turn: dict[int, object] = {}
        self._access = ffi.buffer(lib.vcpu_access(self._context))

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core.fd < 0

    def fileno(self) -> int:
        """The descriptor's number. ClosedError after close()."""
        if self._core.fd < 0:
            raise ClosedError(f"this {self._core.what} is closed")
        return self._core.fd

    # Running ----------------------------------------------------------------------------------

    def _closed_or_failed(self, result: int, call: str) -> Exception:
        return failure(result, call, f"Vcpu {self.vcpu_id}", self._core.fd, vcpu_id=self.vcpu_id)

    def kick(self) -> None:
        """Ends the run under way, or else the next one: it returns Interrupted, once.

        Kicks before that are one; none is lost. A load that waits for its value is completed first.
        Errors: ClosedError; EIO in a forked child.
        Synchronization: any thread, and signal handlers.
        Source: api.rst 5 (immediate_exit).
        """
        result = lib.vcpu_kick(self._context)
        if result < 0:
            raise self._closed_or_failed(result, "kick")

    @property
    def kvm_run(self) -> memoryview:
        """The page shared with the kernel, as bytes; it holds the vCPU open until released.

        Little is of use to read here: exits hand out copies of what matters. Offsets (bytes):
        immediate_exit 1, exit_reason 8 (u32), flags 14 (u16), the exit's own members from 32,
        s.regs.device_irq_level 304 (u64). The coalesced MMIO ring is on the next page.
        Synchronization: while no run is under way.
        Source: api.rst 5.
        """
        self.fileno()
        return memoryview(self._map)

    @property
    def device_irq_level(self) -> DeviceIrqLevel:
        """Lines of the vCPU's timers and PMU, for a GIC of one's own (ARM_USER_IRQ).

        As they were at the last return from run(), whatever the exit; all down where the GIC is in
        the kernel, which gets them itself.
        """
        bits = lib.vcpu_device_lines(self._context)
        if bits < 0:
            raise self._closed_or_failed(bits, "device_irq_level")
        return DeviceIrqLevel(bits)

    # Set-up ---------------------------------------------------------------------------------

    def arm_vcpu_init(
        self, features: Iterable[VcpuFeature | int] = (), *, target: int | None = None
    ) -> None:
        """KVM_ARM_VCPU_INIT: makes the vCPU what it is; again, resets it.

        Capability: each feature's own; arm64.

        Args: ``features``: :class:`VcpuFeature` bits, the same for every vCPU of the VM (but for
        POWER_OFF, which Linux 6.1 keeps for each vCPU). ``target``: what the host prefers, or as
        :meth:`VM.arm_preferred_target` gave.
        Errors: EINVAL a feature that the host lacks or that differs, ENOENT an unknown bit, ENODEV
        no PMU for this CPU.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.82.
        """
        init = ffi.new("struct kvm_vcpu_init *")
        bits = sorted(set(check_ints("features", features, 0, 32 * 7 - 1)))
        for bit in bits:
            init.features[bit // 32] |= 1 << bit % 32
        if target is None:
            asked = ffi.new("struct kvm_vcpu_init *")
            self._vm_core.call(lib.arm_preferred_target, "KVM_ARM_PREFERRED_TARGET", asked)
            target = int(asked.target)
        init.target = check_int("target", target, 0, 2**32 - 1)
        names = [_FEATURES.get(bit, str(bit)) for bit in bits]
        self._core.call(
            lib.arm_vcpu_init, "KVM_ARM_VCPU_INIT", init, target=target, bits=" ".join(names)
        )

    def ioctl(self, request: int, argument: int | Buffer = 0) -> int:
        """Any ioctl on the vCPU but KVM_RUN, by number; see :meth:`VM.ioctl`.

        Capability: the ioctl's own.

        Errors: the ioctl's own, as KvmError; ValueError for KVM_RUN or a buffer too small.
        Synchronization: waits while another thread is inside run().
        Source: api.rst, section 4.
        """
        return raw_ioctl(self._core, request, argument)

    # End --------------------------------------------------------------------------------------

    def _stop(self, *, undo: bool = False) -> None:
        """For VM.close(): lets nobody run any more, and kicks who does."""
        lib.vcpu_stop(self._context, undo)

    def _take_kick(self) -> None:
        """For VcpuThread: a kick that has not ended a run yet will not end one."""
        lib.vcpu_take_kick(self._context)

    def _inside(self) -> bool:
        return bool(lib.vcpu_busy(self._context) > 0)

    def close(self) -> None:
        """Unmaps kvm_run and closes the descriptor.

        KvmBusyError while a thread is inside run(), and BufferError while a view of kvm_run lives;
        the vCPU stays open then.
        Synchronization: any thread.
        """
        if self._core.fd < 0:
            return
        # The parent's lock is as one of its threads left it.
        with contextlib.nullcontext() if self._core.inherited else self._closing:
            self._close()

    def _close(self) -> None:
        # Each step is harmless when it comes again: after an interrupt, or within one.
        result = lib.vcpu_close(self._context)
        if result < 0:
            raise failure(result, "close", f"Vcpu {self.vcpu_id}", 0, vcpu_id=self.vcpu_id)
        self._hold = None  # our own view: what else holds the mapping is the user's
        try:
            unmap(self._map)
        except BufferError:
            self._hold = ffi.from_buffer("struct kvm_run *", self._map)
            lib.vcpu_reopen(self._context, self._hold)
            raise BufferError(
                f"a view of vCPU {self.vcpu_id}'s kvm_run is in use: release it first"
            ) from None
        if self._dirty_ring is not None:
            self._dirty_ring.close()
        for child in self._children.newest_first():
            child.close()
        self._core.close()

    def __repr__(self) -> str:
        return f"<Vcpu {self.vcpu_id}{' closed' if self.closed else f' fd {self._core.fd}'}>"


_FEATURES = {int(feature): feature.name for feature in VcpuFeature}
