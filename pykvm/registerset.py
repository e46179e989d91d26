# SPDX-License-Identifier: Apache-2.0
"""Many registers of a vCPU in one call: that part of :class:`pykvm.Vcpu`."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Iterable
from typing import Any

from pykvm._descriptor import Descriptor, check_int
from pykvm._native import ffi, lib
from pykvm.errors import failure
from pykvm.registers import reg_id, reg_name, reg_size

__all__ = ["BulkRegisters", "RegisterSet"]

_get_registers = lib.get_registers
_set_registers = lib.set_registers
_unpack = ffi.unpack

#: What one call needs, and has alone: what C is told; the values, one word for each register, then
#: the bytes of those wider than that; the same as a buffer; ids and addresses, which C only points
#: to. A plain tuple, because reading a named one costs as much as an ioctl's way into the kernel.
_Block = tuple[Any, Any, Any, Any]


class RegisterSet:
    """Registers that are read or written together, again and again: prepared once.

    For :meth:`Vcpu.get_regs` and :meth:`Vcpu.set_regs`, of any vCPU. Attributes: ``ids``, in the
    order of the values.

    Synchronization: any thread, several at a time.
    """

    __slots__ = ("__weakref__", "_free", "_plain", "_wide", "ids")

    def __init__(self, regs: Iterable[int | str]) -> None:
        """``regs``: ids, or names of :mod:`pykvm.registers`."""
        if isinstance(regs, str) or not hasattr(type(regs), "__iter__"):
            raise TypeError(f"regs must be several, not {type(regs).__name__}")
        self.ids = tuple(map(reg_id, regs))
        #: Blocks that no call uses. A list's own methods are atomic: no lock is needed.
        self._free: list[_Block] = []
        sizes = [reg_size(number) for number in self.ids]
        #: Of each register that is wider than a word: its place, its bytes' offset, and size.
        self._wide: list[tuple[int, int, int]] = []
        offset = 8 * len(sizes)
        for place, size in enumerate(sizes):
            if size > 8:
                self._wide.append((place, offset, size))
                offset += size
        #: Whether each is a whole word: then an array of words refuses what does not fit.
        self._plain = all(size == 8 for size in sizes)

    def _new_block(self) -> _Block:
        count = len(self.ids)
        words = count + sum(size for _, _, size in self._wide) // 8
        values = ffi.new("uint64_t[]", words)
        each = ffi.new("struct kvm_one_reg[]", count)
        start = int(ffi.cast("uintptr_t", values))
        for place, number in enumerate(self.ids):
            each[place].id = number
            each[place].addr = start + 8 * place
        for place, offset, _ in self._wide:
            each[place].addr = start + offset
        registers = ffi.new("struct pykvm_registers *")
        lib.registers_open(registers, each, count)
        return registers, values, ffi.buffer(values), each

    def _take(self) -> _Block:
        try:
            return self._free.pop()
        except IndexError:
            return self._new_block()

    def _wide_values(self, block: _Block, found: list[int]) -> None:
        """Puts those that are wider than a word in their places."""
        for place, offset, size in self._wide:
            found[place] = int.from_bytes(block[2][offset : offset + size], "little")

    def _fill(self, block: _Block, values: Iterable[int]) -> None:
        try:
            given = values if type(values) is list else list(values)
        except TypeError:
            raise TypeError(f"values must be several, not {type(values).__name__}") from None
        if len(given) != len(self.ids):
            raise ValueError(f"values are {len(given)}; there are {len(self.ids)} registers")
        if self._plain:
            try:
                block[2][0:] = array("Q", given)
                return
            except (TypeError, OverflowError):
                pass  # what follows says why
        given = self._checked(given)
        for place, offset, size in self._wide:
            block[2][offset : offset + size] = given[place].to_bytes(size, "little")
            given[place] = 0
        block[1][0 : len(given)] = given

    def _checked(self, values: list[int]) -> list[int]:
        """Every value, or which of them does not fit."""
        return [
            check_int(f"values: {reg_name(number)}", value, 0, 2 ** (8 * reg_size(number)) - 1)
            for number, value in zip(self.ids, values, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<RegisterSet of {len(self.ids)}>"


class BulkRegisters:
    """The part of a vCPU that reads and writes many registers at once."""

    __slots__ = ()

    _core: Descriptor
    vcpu_id: int

    def get_regs(self, regs: RegisterSet | Iterable[int | str]) -> list[int]:
        """KVM_GET_ONE_REG of many registers, in one call.

        Capability: ONE_REG.

        Args: ``regs``: ids or names; a :class:`~pykvm.RegisterSet`, made once, is much quicker.
        Returns: their values, in the same order.
        Errors: those of :meth:`get_one_reg`, naming the register.
        Synchronization: each register waits while another thread is inside run(); between two of
        them it may go on.
        Source: api.rst 4.69.
        """
        if not isinstance(regs, RegisterSet):
            regs = RegisterSet(regs)
        block = regs._take()
        while (result := _get_registers(self._core.fd, block[0])) < 0:
            if result != -errno.EINTR:
                raise self._bulk_failure(result, "KVM_GET_ONE_REG", regs, block)
        values: list[int] = _unpack(block[1], len(regs.ids))
        if regs._wide:
            regs._wide_values(block, values)
        regs._free.append(block)
        return values

    def set_regs(self, regs: RegisterSet | Iterable[int | str], values: Iterable[int]) -> None:
        """KVM_SET_ONE_REG of many registers, in one call: ``set_regs(state, state.values())``.

        Capability: ONE_REG.

        Args: ``regs``: ids or names, as the keys of a dict; a :class:`~pykvm.RegisterSet`, made
        once, is much quicker. ``values``: as many, in the same order.
        Errors: those of :meth:`set_one_reg`, naming the register: those before it are set, those
        after it are not. ValueError, with none set, where a value does not fit.
        Synchronization: each register waits while another thread is inside run(); between two of
        them it may go on.
        Source: api.rst 4.68.
        """
        if not isinstance(regs, RegisterSet):
            regs = RegisterSet(regs)
        block = regs._take()
        regs._fill(block, values)
        while (result := _set_registers(self._core.fd, block[0])) < 0:
            if result != -errno.EINTR:
                raise self._bulk_failure(result, "KVM_SET_ONE_REG", regs, block)
        regs._free.append(block)

    def _bulk_failure(self, result: int, ioctl: str, regs: RegisterSet, block: _Block) -> Exception:
        # The block is not given back: it would go on where it stands.
        place = lib.registers_done(block[0])
        number = regs.ids[place]
        return failure(
            result, ioctl, f"Vcpu {self.vcpu_id}", self._core.fd,
            reg=reg_name(number), reg_id=number, place=place,
        )  # fmt: skip
