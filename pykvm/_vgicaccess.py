# SPDX-License-Identifier: Apache-2.0
"""Registers of a GIC or an ITS, read and written by its attributes; errors name them."""

from __future__ import annotations

import sys

from pykvm._descriptor import Descriptor, check_int
from pykvm._native import ffi, lib

__all__ = [
    "AFFINITY", "UNSET", "affinity_of", "mpidr_of", "read", "read_halves", "write", "write_halves",
]  # fmt: skip

#: No register moves more bytes than this, whatever the kernel takes the attribute for.
_WIDEST = 8
#: An address that was not set.
UNSET = 2**64 - 1
#: Of MPIDR_EL1: Aff3 in bits 39-32, Aff2 to Aff0 in bits 23-0.
AFFINITY = 0xFF_00FF_FFFF


def read(core: Descriptor, group: int, attr: int, size: int, **named: object) -> int:
    """KVM_GET_DEVICE_ATTR of a number of ``size`` bytes; ``named`` is what an error shows."""
    data = ffi.new("uint8_t[]", _WIDEST)
    core.call(lib.get_device_attr, "KVM_GET_DEVICE_ATTR", group, attr, data, **named)
    return int.from_bytes(ffi.buffer(data, size), sys.byteorder)


def write(core: Descriptor, group: int, attr: int, size: int, value: int, **named: object) -> None:
    """KVM_SET_DEVICE_ATTR of a number of ``size`` bytes."""
    data = ffi.new("uint8_t[]", value.to_bytes(size, sys.byteorder).ljust(_WIDEST, b"\0"))
    core.call(lib.set_device_attr, "KVM_SET_DEVICE_ATTR", group, attr, data, **named)


def read_halves(core: Descriptor, group: int, attr: int, size: int, **named: object) -> int:
    """A register of 4 bytes, or one of 8, which the kernel gives as two words."""
    value = read(core, group, attr, 4, **named)
    return value if size == 4 else value | read(core, group, attr + 4, 4, **named) << 32


def write_halves(
    core: Descriptor, group: int, attr: int, size: int, value: int, **named: object
) -> None:
    """A register of 4 bytes, or one of 8, which the kernel takes as two words."""
    value = check_int("value", value, 0, 2 ** (8 * size) - 1)
    write(core, group, attr, 4, value & 0xFFFF_FFFF, **named)
    if size == 8:
        write(core, group, attr + 4, 4, value >> 32, **named)


def affinity_of(vcpu_id: int) -> int:
    """The affinities in MPIDR_EL1 that KVM derives from a vCPU's number."""
    return vcpu_id & 0xF | (vcpu_id >> 4 & 0xFF) << 8 | vcpu_id >> 12 << 16


def mpidr_of(vcpu_id: int | None, mpidr: int | None) -> tuple[int, dict[str, object]]:
    """How an attribute names a vCPU (affinities packed, in the upper half), and how an error does.

    By default the first one's.
    """
    if vcpu_id is not None and mpidr is not None:
        raise TypeError("give only one of vcpu_id= and mpidr=")
    if mpidr is None:
        number = 0 if vcpu_id is None else check_int("vcpu_id", vcpu_id, 0, 0xFFFFF)
        return affinity_of(number) << lib.KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT, {"vcpu_id": number}
    given = check_int("mpidr", mpidr, 0, 2**64 - 1) & AFFINITY
    packed = given & 0xFF_FFFF | given >> 32 << 24
    return packed << lib.KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT, {"mpidr": f"{given:#x}"}
