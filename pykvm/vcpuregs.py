# SPDX-License-Identifier: Apache-2.0
"""Registers of a vCPU: that part of :class:`pykvm.Vcpu`."""

from __future__ import annotations

import errno

from pykvm._descriptor import Descriptor, check_int
from pykvm._native import ffi, lib
from pykvm.errors import KvmError, failure
from pykvm.registers import reg_id, reg_name, reg_size

__all__ = ["VcpuRegisters"]

_ALL_ONES = 2**64 - 1
_get_one_reg = lib.get_one_reg
_set_one_reg = lib.set_one_reg


class VcpuRegisters:
    """The part of a vCPU that reads and writes registers."""

    __slots__ = ("_core", "vcpu_id")

    _core: Descriptor
    vcpu_id: int

    def get_one_reg(self, reg: int | str) -> int:
        """KVM_GET_ONE_REG.

        Capability: ONE_REG.

        Args: ``reg``: an id, or a name of :mod:`pykvm.registers` (an id is quicker).
        Returns: the value; registers wider than 64 bits too, as one little-endian number.
        Errors: ENOENT the vCPU has no such register, EINVAL the id cannot be, ENOEXEC the vCPU is
        not initialised, EPERM SVE not finalised; ValueError an unknown name.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.69.
        """
        try:
            value = _get_one_reg(self._core.fd, reg)  # type: ignore[arg-type]
        except (TypeError, OverflowError):
            return self.get_one_reg(reg_id(reg))
        if value == _ALL_ONES:
            return self._get_wide(reg_id(reg))
        return value

    def _get_wide(self, number: int) -> int:
        """A register of any size, or what is wrong with it."""
        size = reg_size(number)
        data = ffi.new("uint8_t[]", size)
        name = reg_name(number)
        self._core.call(lib.get_wide_reg, "KVM_GET_ONE_REG", number, data, reg=name, reg_id=number)
        return int.from_bytes(ffi.buffer(data, size), "little")

    def _reg_failure(self, ioctl: str, number: int, error: int) -> Exception:
        return failure(
            -error, ioctl, f"Vcpu {self.vcpu_id}", self._core.fd,
            reg=reg_name(number), reg_id=number,
        )  # fmt: skip

    def set_one_reg(self, reg: int | str, value: int) -> None:
        """KVM_SET_ONE_REG.

        Capability: ONE_REG.

        Args: ``reg``: an id, or a name of :mod:`pykvm.registers`; ``value``: a number that fits.
        Errors: as :meth:`get_one_reg`; EINVAL also a value that the host cannot hold, EBUSY a
        register that is fixed once the VM has run, EPERM also the lengths of finalised SVE.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.68.
        """
        if type(value) is int:  # no bool
            try:
                if not _set_one_reg(self._core.fd, reg, value):  # type: ignore[arg-type]
                    return
            except (TypeError, OverflowError):
                pass
        # By name, a wide one, or something is wrong: the slow way finds the words.
        number = reg_id(reg)
        size = reg_size(number)
        value = check_int("value", value, 0, 2 ** (8 * size) - 1)
        if size > 8:
            data = ffi.new("uint8_t[]", value.to_bytes(size, "little"))
            result = lib.set_wide_reg(self._core.fd, number, data)
        else:
            result = lib.set_one_reg(self._core.fd, number, value)
        if result == -errno.EINTR:
            self.set_one_reg(number, value)
        elif result < 0:
            raise self._reg_failure("KVM_SET_ONE_REG", number, -result)

    def get_reg_list(self) -> list[int]:
        """KVM_GET_REG_LIST.

        Capability: ONE_REG.

        Returns: the ids of all registers of this vCPU; :func:`pykvm.reg_name` names them.
        Errors: ENOEXEC the vCPU is not initialised, EPERM SVE not finalised.
        Synchronization: waits while another thread is inside run().
        Source: api.rst 4.84.
        """
        room = 0
        while True:
            ids = ffi.new("uint64_t[]", room + 1)
            ids[0] = room
            try:
                self._core.call(lib.get_reg_list, "KVM_GET_REG_LIST", ids)
            except KvmError as refusal:
                if refusal.errno != errno.E2BIG or ids[0] <= room:
                    raise
                room = ids[0]
            else:
                return list(ids[1 : ids[0] + 1])
