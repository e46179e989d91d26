# SPDX-License-Identifier: Apache-2.0
"""Who answers the guest's calls to firmware, and what time it sees: that part of :class:`pykvm.VM`.

Source: Arm DEN0028 (SMC Calling Convention).
"""

from __future__ import annotations

import errno
import struct

from pykvm._attributes import attr_call, roomy
from pykvm._described import Described
from pykvm._descriptor import check_int
from pykvm._native import ffi, lib
from pykvm._vmcore import VmCore
from pykvm.errors import KvmError

__all__ = ["Smccc", "SmcccAction"]


class SmcccAction(Described):
    """What becomes of a guest's SMC or HVC."""

    HANDLE = 0, "KVM serves it, as without a filter."
    DENY = 1, "The guest is told NOT_SUPPORTED (-1)."
    FWD_TO_USER = 2, "run() returns Hypercall."


class Smccc:
    """The part of a VM that filters hypercalls and shifts the guest's counters."""

    __slots__ = ()

    _core: VmCore

    def has_smccc_filter(self) -> bool:
        """KVM_HAS_DEVICE_ATTR, SMCCC_FILTER: whether this host filters hypercalls.

        Capability: none; arm64.

        Errors: none of the kernel's: ENXIO, and EINVAL of kernels before 6.4, are the answer False.
        Synchronization: any thread.
        Source: devices/vm.rst 6.
        """
        try:
            attr_call(
                self._core, "KVM_HAS_DEVICE_ATTR",
                lib.KVM_ARM_VM_SMCCC_CTRL, lib.KVM_ARM_VM_SMCCC_FILTER, arm64=True,
            )  # fmt: skip
        except KvmError as refusal:
            if refusal.errno not in (errno.ENXIO, errno.EINVAL):
                raise
            return False
        return True

    def set_smccc_filter(self, base: int, nr_functions: int, action: SmcccAction | int) -> None:
        """KVM_SET_DEVICE_ATTR, SMCCC_FILTER: who answers a range of the guest's hypercalls.

        Capability: none: :meth:`has_smccc_filter` tells; arm64.

        Before the first run of any vCPU. Ranges cannot overlap, nor be taken back.
        Args: ``base``: the first function's number; ``nr_functions``: how many;
        ``action``: a :class:`SmcccAction`.
        Errors: EEXIST it overlaps another one, or the architecture's own calls (0x80000000 and
        0xC0000000, 65536 each); EBUSY the VM has run; EINVAL no such range or action, or an older
        kernel.
        Synchronization: any thread.
        Source: devices/vm.rst 6.
        """
        argument = struct.pack(
            "=IIB15x",
            check_int("base", base, 0, 2**32 - 1),
            check_int("nr_functions", nr_functions, 1, 2**32 - 1),
            check_int("action", action, 0, 2**8 - 1),
        )
        attr_call(
            self._core, "KVM_SET_DEVICE_ATTR",
            lib.KVM_ARM_VM_SMCCC_CTRL, lib.KVM_ARM_VM_SMCCC_FILTER,
            ffi.new("uint8_t[]", roomy(argument)), arm64=True,
        )  # fmt: skip

    def arm_set_counter_offset(self, offset: int) -> None:
        """KVM_ARM_SET_COUNTER_OFFSET: what the guest's counters lack against the host's.

        Capability: COUNTER_OFFSET; arm64.

        For the virtual and the physical counter of all vCPUs, at any time. Writing their registers
        (cntvct_el0) does nothing from then on.
        Args: ``offset``: ticks, up to 2**64 - 1; the guest sees the host's count minus these.
        Errors: EBUSY a vCPU is inside a call, EINVAL a protected VM or an older kernel.
        Synchronization: any thread, while no vCPU runs.
        Source: api.rst 4.138.
        """
        offset = check_int("offset", offset, 0, 2**64 - 1)
        self._core.call(
            lib.arm_set_counter_offset, "KVM_ARM_SET_COUNTER_OFFSET", offset, offset=offset
        )
