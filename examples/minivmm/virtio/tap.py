# SPDX-License-Identifier: Apache-2.0
"""A tap device: a network interface of this host whose other end is ours."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from minivmm.endings import BadInput

_TUNSETIFF, _TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
#: What a tap may hand us unfinished: without checksum, or larger than a frame.
OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 = 1, 2, 4
#: Bytes before each frame, in both directions: virtio's own header.
HEADER = 12


class Tap:
    def __init__(self, name: str) -> None:
        if not 0 < len(os.fsencode(name)) < 16:
            raise BadInput(f"tap {name!r}: interfaces have names of 1 to 15 bytes")
        self.name = name
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as failure:
            raise BadInput(f"/dev/net/tun: {failure.strerror}") from None
        try:
            flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
            fcntl.ioctl(self._fd, _TUNSETIFF, struct.pack("16sH22x", os.fsencode(name), flags))
            fcntl.ioctl(self._fd, _TUNSETVNETHDRSZ, struct.pack("i", HEADER))
        except OSError as failure:
            os.close(self._fd)
            known = {
                errno.EPERM: "not permitted; run as root, or have the administrator make it for "
                f"you: ip tuntap add {name} mode tap user {os.getuid()}",
                errno.EBUSY: "another program has it in use",
                errno.EINVAL: "exists, and is no tap that we could use",
            }
            words = known.get(failure.errno or 0, failure.strerror)
            raise BadInput(f"tap {name}: {words}") from None

    def fileno(self) -> int:
        return self._fd

    def offload(self, flags: int) -> None:
        fcntl.ioctl(self._fd, _TUNSETOFFLOAD, flags)

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
