# SPDX-License-Identifier: Apache-2.0
"""A sandbox as container runtimes make them: ioctls that the kernel refuses this process for good.

Source: seccomp(2), linux/seccomp.h, linux/filter.h.
"""

from __future__ import annotations

import ctypes
import platform
import struct

__all__ = ["deny"]

_IOCTL = {"x86_64": 16, "aarch64": 29}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
#: Where struct seccomp_data has the call's number and the low half of its second argument.
_NUMBER, _REQUEST = 0, 24
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
#: KVM's ioctls have it as their type.
_KVM_TYPE = 0xAE00


def deny(request: int | None, error: int) -> None:
    """From now on this ioctl fails with that errno, or every one of KVM's where it is None."""
    is_it = (
        [(_JUMP_IF_EQUAL, 0, 1, request)]
        if request is not None
        else [(_AND, 0, 0, 0xFF00), (_JUMP_IF_EQUAL, 0, 1, _KVM_TYPE)]
    )
    program = [
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_IF_EQUAL, 0, len(is_it) + 2, _IOCTL[platform.machine()]),
        (_LOAD, 0, 0, _REQUEST),
        *is_it,
        (_RETURN, 0, 0, _ERRNO | error),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    block = ctypes.create_string_buffer(code)
    header = struct.pack("@HP", len(program), ctypes.addressof(block))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0),
    ):
        if libc.prctl(*words):
            raise OSError(ctypes.get_errno(), "prctl")
