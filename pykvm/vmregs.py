# SPDX-License-Identifier: Apache-2.0
"""What a VM tells of the registers of its vCPUs: that part of :class:`pykvm.VM`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pykvm._native import ffi, lib
from pykvm._vmcore import VmCore
from pykvm.registers import sysreg

__all__ = ["VmRegisters"]

#: The op1 that the range of feature ID registers has, in its order; op0 is 3, CRn is 0.
_OP1 = (0, 1, 3)


class VmRegisters:
    """The part of a VM that knows what its vCPUs' registers can hold."""

    __slots__ = ()

    _core: VmCore

    def arm_get_reg_writable_masks(self) -> Mapping[int, int]:
        """KVM_ARM_GET_REG_WRITABLE_MASKS: which bits of the ID registers can be changed.

        Capability: ARM_SUPPORTED_REG_MASK_RANGES (bit 0 is the one range that there is); arm64.

        A feature is hidden from the guest by lowering its field before the first run of any vCPU,
        for the whole VM; raising one above what the host has is refused.
        Returns: the bits by register id (:func:`pykvm.reg_name` names it), read-only, for those
        that have any. MIDR, REVIDR and AIDR are among them, and need
        :meth:`enable_arm_writable_imp_id_regs` all the same.
        Errors: EINVAL an older kernel.
        Synchronization: any thread.
        Source: api.rst 4.139.
        """
        masks = ffi.new("uint64_t[]", lib.KVM_ARM_FEATURE_ID_RANGE_SIZE)
        self._core.call(lib.arm_get_reg_writable_masks, "KVM_ARM_GET_REG_WRITABLE_MASKS", masks)
        return MappingProxyType(
            {
                sysreg(3, _OP1[index // 64], 0, index // 8 % 8, index % 8): mask
                for index, mask in enumerate(masks)
                if mask
            }
        )
