# SPDX-License-Identifier: Apache-2.0
"""Scalable vectors of a vCPU: that part of :class:`pykvm.Vcpu`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pykvm._descriptor import Descriptor, check_int, check_ints
from pykvm._native import lib
from pykvm.vcpuregs import VcpuRegisters

if TYPE_CHECKING:
    from pykvm.vcpu import VcpuFeature

__all__ = ["VcpuSve"]

_QUANTUM = 128
_LONGEST = 512 * _QUANTUM


class VcpuSve(VcpuRegisters):
    """The part of a vCPU that sets SVE up: init, the lengths if they matter, finalize, run."""

    __slots__ = ()

    _core: Descriptor

    def arm_vcpu_finalize(self, feature: VcpuFeature | int) -> None:
        """KVM_ARM_VCPU_FINALIZE: a feature's set-up is complete, and stays.

        Capability: the feature's own; arm64.

        Args: ``feature``: VcpuFeature.SVE, the only one that has to be.
        Errors: ENOEXEC the vCPU is not initialised, EINVAL it lacks this feature, or another one,
        EPERM done already.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.119.
        """
        feature = check_int("feature", feature, 0, 2**31 - 1)
        self._core.call(lib.arm_vcpu_finalize, "KVM_ARM_VCPU_FINALIZE", feature, feature=feature)

    @property
    def sve_lengths_bits(self) -> tuple[int, ...]:
        """The lengths of vectors that the guest can choose from, ascending, in bits.

        All that the host has, until others are set: between init and finalize, and only such that
        a CPU could have them: with a length, every shorter one of the host. It is the register
        sve_vls (KVM_GET_ONE_REG, KVM_SET_ONE_REG). ENOENT: the vCPU has no SVE; EPERM: it is
        finalised; EINVAL: no such set.
        """
        lengths = self.get_one_reg("sve_vls")
        return tuple(
            _QUANTUM * (bit + 1) for bit in range(lengths.bit_length()) if lengths >> bit & 1
        )

    @sve_lengths_bits.setter
    def sve_lengths_bits(self, sve_lengths_bits: Iterable[int]) -> None:
        lengths = check_ints("sve_lengths_bits", sve_lengths_bits, _QUANTUM, _LONGEST)
        for length in lengths:
            if length % _QUANTUM:
                raise ValueError(f"sve_lengths_bits has {length}; lengths are multiples of 128")
        bits = {length // _QUANTUM - 1 for length in lengths}
        self.set_one_reg("sve_vls", sum(1 << bit for bit in bits))
