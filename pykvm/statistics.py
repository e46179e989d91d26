# SPDX-License-Identifier: Apache-2.0
"""What KVM counts: the statistics of a VM and of each vCPU."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pykvm._described import Described
from pykvm._descriptor import Closing, Descriptor
from pykvm._native import ffi, lib
from pykvm._vmcore import Children
from pykvm.errors import ClosedError, naming

__all__ = ["HasStatistics", "Layout", "Statistic", "StatisticKind", "StatisticUnit", "Statistics"]

#: No block of the file, and no name, is larger than this; the kernel's are a few KiB.
_LARGEST = 1 << 20


class StatisticKind(Described):
    """How a value moves, or that it is a histogram."""

    CUMULATIVE = 0, "It counts up."
    INSTANT = 1, "It is what it is at this moment."
    PEAK = 2, "The largest that there was."
    LINEAR_HIST = 3, "A histogram whose buckets have one size; the last one is open."
    LOG_HIST = (
        4,
        "A histogram for 0, 1, 2 to 3, 4 to 7 and so on in powers of two; the last one is open.",
    )


class StatisticUnit(Described):
    """What a value counts; of a histogram, what its buckets are made of."""

    NONE = 0, "Events, or things."
    BYTES = 1, "Bytes, times base ** exponent."
    SECONDS = 2, "Seconds, times base ** exponent: nanoseconds with 10 and -9."
    CYCLES = 3, "Clock cycles, times base ** exponent."
    BOOLEAN = 4, "0 or 1."


class Statistic(NamedTuple):
    """One statistic as it was when it was read.

    ``value`` is a number; of a histogram, and of a kind that has several, a tuple: how many samples
    fell into each bucket. ``kind`` is a :class:`StatisticKind` and ``unit`` a
    :class:`StatisticUnit`, or a plain int where the kernel is newer than that. One of the value
    means ``base ** exponent`` of the unit; ``base`` is 10 or 2 (0 where the kernel is newer).
    ``bucket_size`` is of a linear histogram alone, in the same measure.
    """

    value: int | tuple[int, ...]
    kind: int
    unit: int
    base: int
    exponent: int
    bucket_size: int


class _Place(NamedTuple):
    """Which words of the data block make one statistic."""

    name: str
    words: slice
    pattern: Statistic


class Layout:
    """What a file of statistics says about itself. It holds while the file is open."""

    __slots__ = ("_offset", "_places", "_size", "id")

    def __init__(self, fd: int) -> None:
        size = ffi.sizeof("struct kvm_stats_header")
        block = _block(fd, "header", 0, size)
        header = ffi.from_buffer("struct kvm_stats_header *", block)
        name_size, count = int(header.name_size), int(header.num_desc)
        self.id = _text(_block(fd, "id", header.id_offset, name_size))
        stride = ffi.sizeof("struct kvm_stats_desc") + name_size
        block = _block(fd, "descriptors", header.desc_offset, stride * count)
        self._places = [
            _place(block[start : start + stride]) for start in range(0, stride * count, stride)
        ]
        self._offset = int(header.data_offset)
        self._size = 8 * max((place.words.stop for place in self._places), default=0)

    def values(self, fd: int) -> dict[str, Statistic]:
        """Every statistic by name, read now."""
        data = struct.unpack(f"={self._size // 8}Q", _block(fd, "data", self._offset, self._size))
        found: dict[str, Statistic] = {}
        for name, words, pattern in self._places:
            values = data[words]
            found[name] = pattern._replace(value=values if pattern.value else values[0])
        return found


def _block(fd: int, what: str, offset: int, size: int) -> bytes:
    """``size`` bytes at ``offset``. No number of the kernel's is taken on trust."""
    if size > _LARGEST:
        raise OSError(f"KVM's statistics cannot be read: {what} of {size} bytes")
    with naming("pread statistics", offset=offset, size=size):
        block = os.pread(fd, size, offset)
    if len(block) != size:
        raise OSError(
            f"KVM's statistics cannot be read: {what} of {size} bytes at {offset} should be there, "
            f"and {len(block)} are"
        )
    return block


def _text(block: bytes) -> str:
    return block.split(b"\0", 1)[0].decode("ascii", "backslashreplace")


def _place(block: bytes) -> _Place:
    described = ffi.from_buffer("struct kvm_stats_desc *", block)
    name = _text(block[ffi.sizeof("struct kvm_stats_desc") :])
    flags, count, offset = int(described.flags), int(described.size), int(described.offset)
    if offset % 8:
        raise OSError(f"KVM's statistics cannot be read: {name} at {offset}, between two words")
    kind = (flags & lib.KVM_STATS_TYPE_MASK) >> lib.KVM_STATS_TYPE_SHIFT
    unit = (flags & lib.KVM_STATS_UNIT_MASK) >> lib.KVM_STATS_UNIT_SHIFT
    base = {lib.KVM_STATS_BASE_POW10: 10, lib.KVM_STATS_BASE_POW2: 2}
    is_histogram = kind in (StatisticKind.LINEAR_HIST, StatisticKind.LOG_HIST)
    pattern = Statistic(
        value=(0,) if is_histogram or count != 1 else 0,  # of this form
        kind=_KINDS.get(kind, kind),
        unit=_UNITS.get(unit, unit),
        base=base.get(flags & lib.KVM_STATS_BASE_MASK, 0),
        exponent=int(described.exponent),
        bucket_size=int(described.bucket_size),
    )
    return _Place(name, slice(offset // 8, offset // 8 + count), pattern)


_KINDS = {int(kind): kind for kind in StatisticKind}
_UNITS = {int(unit): unit for unit in StatisticUnit}


class Statistics(Closing):
    """The statistics of a VM or a vCPU, made by its ``get_stats_fd()``.

    It ends with what it was made from.

    Attributes: ``id``, which names the process that made the VM, and the vCPU.

    Synchronization: any thread, also while vCPUs run; close() once nobody reads.
    Source: api.rst 4.133.
    """

    __slots__ = ("__weakref__", "_core", "_layout", "id")

    def __init__(self, core: Descriptor) -> None:
        self._core = Descriptor(-1, "Statistics")
        self._core.receive(core, lib.get_stats_fd, "KVM_GET_STATS_FD")
        try:
            self._layout = Layout(self._core.fd)
        except BaseException:
            self._core.close()
            raise
        self.id = self._layout.id

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core.fd < 0

    def fileno(self) -> int:
        """The descriptor's number. ClosedError after close()."""
        if self._core.fd < 0:
            raise ClosedError("this Statistics is closed")
        return self._core.fd

    def read(self) -> Mapping[str, Statistic]:
        """What KVM has counted so far: each :class:`Statistic` by the kernel's name for it.

        Which there are is the kernel's choice, and changes with it.
        """
        return MappingProxyType(self._layout.values(self.fileno()))

    def close(self) -> None:
        """Closes the descriptor. KVM counts on."""
        self._core.close()

    def __repr__(self) -> str:
        return f"<Statistics {self.id}{' closed' if self.closed else f' fd {self._core.fd}'}>"


class HasStatistics:
    """The part of a VM and of a vCPU that tells what KVM counts."""

    __slots__ = ()

    _core: Descriptor
    _children: Children

    def get_stats_fd(self) -> Statistics:
        """KVM_GET_STATS_FD: what KVM counts of this VM, or of this vCPU.

        Capability: BINARY_STATS_FD.

        Returns: a :class:`Statistics`, to be read as often as one likes.
        Errors: EMFILE, ENOMEM.
        Synchronization: on a vCPU, waits while another thread is inside run(); reading does not.
        Source: api.rst 4.133.
        """
        statistics = Statistics(self._core)
        self._children.know(statistics)
        return statistics
