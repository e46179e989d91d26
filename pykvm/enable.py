# SPDX-License-Identifier: Apache-2.0
"""Capabilities that are off until a VM switches them on: that part of :class:`pykvm.VM`."""

from __future__ import annotations

from collections.abc import Iterable

from pykvm._descriptor import check_int, check_ints
from pykvm._native import lib
from pykvm._vmcore import VmCore
from pykvm.caps import Cap, cap_name

__all__ = ["EnableCap"]

_U64 = 2**64 - 1


class EnableCap:
    """The part of a VM that switches capabilities on. What is on stays on, unless said otherwise.

    Several are for a VM without vCPUs, or without memory slots: each method says so.
    """

    __slots__ = ()

    _core: VmCore

    def enable_cap(self, cap: Cap | int, args: Iterable[int] = (), *, flags: int = 0) -> int:
        """KVM_ENABLE_CAP: switches on a capability that is off at first.

        Capability: ENABLE_CAP_VM, and the one that is meant.

        Args: ``cap``: a :class:`~pykvm.Cap`, or any number; ``args``: up to four words, as the
        capability's documentation has them; ``flags``: 0 so far.
        Returns: 0, or what this capability answers.
        Errors: EINVAL unknown here, too late in the VM's life, or a word that it does not take.
        Synchronization: any thread.
        Source: api.rst 4.37, 7 and 8.
        """
        cap = check_int("cap", cap, 0, 2**32 - 1)
        flags = check_int("flags", flags, 0, 2**32 - 1)
        words = check_ints("args", args, 0, _U64)
        if len(words) > 4:
            raise ValueError(f"args are {len(words)}; a capability has up to four")
        words += [0] * (4 - len(words))
        result = self._core.call(
            lib.enable_cap, "KVM_ENABLE_CAP", cap, flags, *words, cap=cap_name(cap), args=words
        )
        if cap in (Cap.DIRTY_LOG_RING, Cap.DIRTY_LOG_RING_ACQ_REL):
            self._core.dirty_ring_size = words[0] % 2**32  # the kernel looks at 32 bits too
        return result

    def enable_halt_poll(self, max_ns: int) -> None:
        """KVM_ENABLE_CAP, HALT_POLL: how long a halting vCPU polls before its thread sleeps.

        Capability: HALT_POLL.

        Args: ``max_ns``: nanoseconds, 0 for never, up to 2**32 - 1; in place of the module's
        halt_poll_ns, at any time.
        Errors: none of the kernel's.
        Synchronization: any thread, also while vCPUs run.
        Source: api.rst 7.21 (KVM_CAP_HALT_POLL).
        """
        self.enable_cap(Cap.HALT_POLL, [check_int("max_ns", max_ns, 0, 2**32 - 1)])

    def enable_manual_dirty_log_protect2(
        self, *, initially_set: bool = False, on: bool = True
    ) -> None:
        """KVM_ENABLE_CAP, MANUAL_DIRTY_LOG_PROTECT2: reading a dirty log no longer clears it.

        Capability: MANUAL_DIRTY_LOG_PROTECT2; its bit 2 for ``initially_set``.

        KVM_CLEAR_DIRTY_LOG does instead, by range, when the pages were copied. At any time.
        Args: ``initially_set``: a new log starts with every page dirty, which are then
        write-protected only as they are cleared; ``on``: False switches it off again.
        Errors: EINVAL a bit that this kernel lacks.
        Synchronization: any thread.
        Source: api.rst 7.18 (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2).
        """
        bits = int(bool(on)) | 2 * bool(initially_set)
        if bits == 2:
            raise ValueError("initially_set means nothing with on=False")
        self.enable_cap(Cap.MANUAL_DIRTY_LOG_PROTECT2, [bits])

    def enable_dirty_log_ring(self, size: int) -> None:
        """KVM_ENABLE_CAP, DIRTY_LOG_RING_ACQ_REL: each vCPU gets a ring of pages that it dirtied.

        Capability: DIRTY_LOG_RING_ACQ_REL, which answers the most bytes of one.

        Once, before any vCPU. The ring has pages of slots with ``log_dirty``;
        :meth:`Vcpu.harvest_dirty_ring` takes them. Dirty logs as bitmaps are gone then. On arm64,
        switch on :meth:`enable_dirty_log_ring_with_bitmap` too: without it, kernels up to 7.3 let
        the guest write to a whole huge page after the first write, and the ring has that page only.
        Args: ``size``: bytes of each ring, a power of two, at least a page and 64 entries of 16.
        Errors: EINVAL size, a vCPU exists or it is on; E2BIG more than the host allows.
        Synchronization: any thread.
        Source: api.rst 8.29 (KVM_CAP_DIRTY_LOG_RING).
        """
        self.enable_cap(Cap.DIRTY_LOG_RING_ACQ_REL, [check_int("size", size, 1, 2**32 - 1)])

    def enable_dirty_log_ring_with_bitmap(self) -> None:
        """KVM_ENABLE_CAP, DIRTY_LOG_RING_WITH_BITMAP: a bitmap for what no vCPU dirtied.

        Capability: DIRTY_LOG_RING_WITH_BITMAP.

        On arm64 that is what saving the tables of a GICv3 and an ITS writes. After the ring was
        switched on, before any memory slot.
        Errors: EINVAL no ring, or a memory slot exists.
        Synchronization: any thread.
        Source: api.rst 8.29 (KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP).
        """
        self.enable_cap(Cap.DIRTY_LOG_RING_WITH_BITMAP)

    def enable_arm_nisv_to_user(self) -> None:
        """KVM_ENABLE_CAP, ARM_NISV_TO_USER: accesses that KVM cannot describe become exits.

        Capability: ARM_NISV_TO_USER.

        Without it, run() fails with ENOSYS for them. At any time.
        Errors: none of the kernel's.
        Synchronization: any thread.
        Source: api.rst 7.20 (KVM_CAP_ARM_NISV_TO_USER).
        """
        self.enable_cap(Cap.ARM_NISV_TO_USER)

    def enable_arm_mte(self) -> None:
        """KVM_ENABLE_CAP, ARM_MTE: the guest can use memory tags.

        Capability: ARM_MTE.

        Before any vCPU. Memory of the VM must be able to carry tags: anonymous memory is.
        Errors: EINVAL the host has no MTE, a vCPU exists, or a slot that has guest_memfd.
        Synchronization: any thread.
        Source: api.rst 7.26 (KVM_CAP_ARM_MTE).
        """
        self.enable_cap(Cap.ARM_MTE)

    def enable_arm_system_suspend(self) -> None:
        """KVM_ENABLE_CAP, ARM_SYSTEM_SUSPEND: PSCI SYSTEM_SUSPEND becomes a system event.

        Capability: ARM_SYSTEM_SUSPEND.

        Without it, the guest is told NOT_SUPPORTED. At any time.
        Errors: none of the kernel's.
        Synchronization: any thread.
        Source: api.rst 7.32 (KVM_CAP_ARM_SYSTEM_SUSPEND).
        """
        self.enable_cap(Cap.ARM_SYSTEM_SUSPEND)

    def enable_arm_eager_split_chunk_size(self, size: int) -> None:
        """KVM_ENABLE_CAP, ARM_EAGER_SPLIT_CHUNK_SIZE: huge pages are split when logging starts.

        Capability: ARM_EAGER_SPLIT_CHUNK_SIZE, which on the VM answers the size in force.

        Otherwise each is split at the guest's first write. While no memory slot exists.
        Args: ``size``: bytes, one of the sizes in ARM_SUPPORTED_BLOCK_SIZES; 0 switches it off.
        Errors: EINVAL another size, or a memory slot exists.
        Synchronization: any thread.
        Source: api.rst 8.39 (KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE).
        """
        self.enable_cap(Cap.ARM_EAGER_SPLIT_CHUNK_SIZE, [check_int("size", size, 0, _U64)])

    def enable_arm_writable_imp_id_regs(self) -> None:
        """KVM_ENABLE_CAP, ARM_WRITABLE_IMP_ID_REGS: MIDR, REVIDR and AIDR can be written.

        Capability: ARM_WRITABLE_IMP_ID_REGS.

        Before any vCPU.
        Errors: EINVAL a vCPU exists, or an older kernel.
        Synchronization: any thread.
        Source: api.rst 7.43 (KVM_CAP_ARM_WRITABLE_IMP_ID_REGS).
        """
        self.enable_cap(Cap.ARM_WRITABLE_IMP_ID_REGS)

    def enable_arm_sea_to_user(self) -> None:
        """KVM_ENABLE_CAP, ARM_SEA_TO_USER: a memory error that the guest meets becomes an exit.

        Capability: ARM_SEA_TO_USER.

        Without it, KVM injects the synchronous external abort by itself. At any time.
        Errors: EINVAL an older kernel.
        Synchronization: any thread.
        Source: api.rst 7.47 (KVM_CAP_ARM_SEA_TO_USER).
        """
        self.enable_cap(Cap.ARM_SEA_TO_USER)
