# SPDX-License-Identifier: Apache-2.0
"""Ending a mapping that nobody else holds."""

from __future__ import annotations

import mmap
import sys

__all__ = ["settle", "unmap"]

_HAS_GIL = "t" not in sys.abiflags


def settle() -> bool:
    """Ends what nobody holds any more; whether there can have been such a thing.

    Without a GIL, an object that one thread made and another one was the last to hold ends only
    when the first gets to it, and that may be asleep. A collection ends all of them.
    """
    if _HAS_GIL:
        return False
    import gc

    gc.collect()
    return True


def unmap(room: mmap.mmap) -> None:
    """Closes it; BufferError, with nothing changed, while somebody holds a view."""
    try:
        room.close()
    except BufferError:
        if not settle():
            raise
        room.close()
