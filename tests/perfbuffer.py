# SPDX-License-Identifier: Apache-2.0
"""A cacheable mapping of page frames that are nobody's pages: what drivers make of device memory.

No driver is needed for it: since 6.15 the buffer of a performance event is mapped so.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct

__all__ = ["SIZE", "is_of_frames", "perf_buffer"]

#: A page that describes the buffer, and one of buffer.
SIZE = 2 * mmap.PAGESIZE
#: perf_event_open(2): arm64's number, an event of software, the one that counts nothing.
_PERF_EVENT_OPEN = 241
_SOFTWARE, _DUMMY = 1, 9
_DISABLED, _EXCLUDE_KERNEL, _EXCLUDE_HV = 1, 1 << 5, 1 << 6


def perf_buffer() -> mmap.mmap | None:
    """The mapping, or None where this process may not have one."""
    flags = _DISABLED | _EXCLUDE_KERNEL | _EXCLUDE_HV
    attr = struct.pack("=IIQQQQQ", _SOFTWARE, 128, _DUMMY, 0, 0, 0, flags).ljust(128, b"\0")
    fd = ctypes.CDLL(None).syscall(_PERF_EVENT_OPEN, attr, 0, -1, -1, 0)
    if fd < 0:
        return None
    try:
        return mmap.mmap(fd, SIZE)
    finally:
        os.close(fd)


def is_of_frames() -> bool:
    """Whether this kernel maps it so."""
    buffer = perf_buffer()
    if buffer is None:
        return False
    with buffer, open("/proc/self/smaps", encoding="ascii") as smaps:
        lines = iter(smaps)
        for line in lines:
            if "[perf_event]" in line:
                return " pf " in next(line for line in lines if line.startswith("VmFlags"))
    return False
