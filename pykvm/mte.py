# SPDX-License-Identifier: Apache-2.0
"""Memory tags of a guest (MTE): that part of :class:`pykvm.VM`."""

from __future__ import annotations

import errno
import mmap
from typing import TYPE_CHECKING, Any

from pykvm._descriptor import check_int, octets
from pykvm._native import ffi, lib
from pykvm._vmcore import VmCore
from pykvm.errors import kvm_error

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

__all__ = ["MteTags"]

#: Bytes of memory with one tag.
_GRANULE = 16
#: Bytes of memory that one call is asked for: its answer must fit into an int.
_AT_ONCE = 1 << 30


class MteTags:
    """The part of a VM that copies memory tags."""

    __slots__ = ()

    _core: VmCore

    def arm_mte_read_tags(self, gpa: int, size: int) -> bytes:
        """KVM_ARM_MTE_COPY_TAGS with KVM_ARM_TAGS_FROM_GUEST: the tags of the guest's memory.

        Capability: ARM_MTE, switched on; arm64.

        Args: ``gpa`` and ``size`` (bytes) are multiples of the host's page size.
        Returns: one byte, 0 to 15, for each 16 bytes of memory.
        Errors: EINVAL the VM has no memory tags; EFAULT no memory there, from ``gpa`` as the error
        tells it.
        Synchronization: any thread; the vCPUs should stand still.
        Source: api.rst 4.130.
        """
        gpa = check_int("gpa", gpa, 0, 2**64 - 1)
        size = check_int("size", size, mmap.PAGESIZE, 1 << 52)
        tags = ffi.new("uint8_t[]", _tags_in(gpa, size))
        self._copy_tags(gpa, size, tags, lib.KVM_ARM_TAGS_FROM_GUEST)
        return bytes(ffi.buffer(tags))

    def arm_mte_write_tags(self, gpa: int, tags: Buffer) -> None:
        """KVM_ARM_MTE_COPY_TAGS: gives the guest's memory its tags.

        Capability: ARM_MTE, switched on; arm64.

        Args: ``gpa``: a multiple of the host's page size. ``tags``: one byte, 0 to 15, for each 16
        bytes of memory, for whole pages of the host.
        Errors: EINVAL the VM has no memory tags; EBUSY a slot has ``log_dirty``; EFAULT no memory
        there, from ``gpa`` as the error tells it.
        Synchronization: any thread; the vCPUs should stand still.
        Source: api.rst 4.130.
        """
        gpa = check_int("gpa", gpa, 0, 2**64 - 1)
        with octets("tags", tags) as view:
            given = view.tobytes()
        if given.translate(None, bytes(range(16))):
            raise ValueError("tags are numbers from 0 to 15, one in each byte")
        size = len(given) * _GRANULE
        if not size:
            raise ValueError("tags are empty")
        _tags_in(gpa, size)
        self._copy_tags(gpa, size, ffi.new("uint8_t[]", given), lib.KVM_ARM_TAGS_TO_GUEST)

    def _copy_tags(self, gpa: int, size: int, tags: Any, flags: int) -> None:
        """All of them: the kernel may stop in between, and says why when it is asked to go on."""
        done = 0
        while done < size:
            asked = {"gpa": gpa + done, "size": min(size - done, _AT_ONCE), "flags": flags}
            copied = self._core.call(
                lib.arm_mte_copy_tags, "KVM_ARM_MTE_COPY_TAGS",
                gpa + done, asked["size"], tags + done // _GRANULE, flags, **asked,
            )  # fmt: skip
            if not copied:  # never seen: the kernel does something, or says what is wrong
                raise kvm_error(errno.EFAULT, "KVM_ARM_MTE_COPY_TAGS", **asked)
            done += copied


def _tags_in(gpa: int, size: int) -> int:
    """How many tags the range has; it must be whole pages of the host."""
    for name, value in (("gpa", gpa), ("size", size)):
        if value % mmap.PAGESIZE:
            raise ValueError(
                f"{name} {value:#x} is no multiple of the host's page, {mmap.PAGESIZE:#x}"
            )
    return size // _GRANULE
