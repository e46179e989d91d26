# SPDX-License-Identifier: Apache-2.0
"""The escape hatch behind every ``ioctl()`` method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm._descriptor import Descriptor, check_int, octets
from pykvm._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

__all__ = ["raw_ioctl"]


def raw_ioctl(core: Descriptor, request: int, argument: int | Buffer) -> int:
    """Any request on ``core``: a number as argument, or a writable buffer that is large enough."""
    request = check_int("request", request, 0, 2**32 - 1)
    size = request >> 16 & 0x3FFF  # every request number names the size of its argument
    if request == lib.KVM_RUN:
        raise ValueError("KVM_RUN goes through Vcpu.run(), which can be kicked and closed safely")
    if hasattr(type(argument), "__index__"):
        number = check_int("argument", argument, 0, 2**64 - 1)
        if size:
            raise TypeError(
                f"request {request:#x} moves {size} bytes: its argument must be a writable buffer"
            )
        return core.call(lib.any_ioctl, "ioctl", request, number, request=request)
    with octets("argument", argument) as whole:
        if whole.readonly:
            raise TypeError("argument must be writable (a bytearray): the kernel may fill it")
        if whole.nbytes < size:
            raise ValueError(
                f"request {request:#x} moves {size} bytes, its argument has {whole.nbytes}"
            )
        hold = ffi.from_buffer(whole)
        try:
            address = int(ffi.cast("uintptr_t", hold))
            return core.call(lib.any_ioctl, "ioctl", request, address, request=request)
        finally:
            ffi.release(hold)
