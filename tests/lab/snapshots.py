# SPDX-License-Identifier: Apache-2.0
"""Snapshots: a host booted once, stopped with its agent waiting, restored in a moment.

A snapshot is the host's memory as a file (all hosts restored from it share its pages until they
write) and the state of its devices. Memory files lie in tmpfs while they are few, else on disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lab import cache, kernels, progress
from tests.lab.boot import Parts
from tests.lab.emulators import Emulator
from tests.lab.errors import LabError
from tests.lab.job import Conversation
from tests.lab.machine import PATIENCE_SECONDS, BootFiles, Machine, Memory, arguments
from tests.lab.shapes import Shape

KIND = "snapshots"
_MOST = 12  # kept in all, and
_TMPFS_SHARE = 4  # of the tmpfs at most one part in four
# QEMU's CPUs on which a kernel cannot run at EL2, and ticks by the timers of EL1.
_WITHOUT_VHE = ("cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72")
_TYPICAL_BYTES = 512 << 20
_FALLOC_PUNCH_HOLE = 0x02 | 0x01
_libc = ctypes.CDLL(None, use_errno=True)


def key(shape: Shape, parts: Parts, emulator: Emulator) -> str:
    """The name of a shape's snapshot: all that it depends on."""
    words = arguments(shape, BootFiles(Path("image"), Path("initrd")), Memory(Path("ram"), True))
    return cache.digest(words, parts.key, emulator.key)


def hold(shape: Shape) -> bool:
    """Whether a host of this shape lives on after a restore, so that it can have a snapshot.

    QEMU's snapshots leave out the timers of EL2, by which a kernel with VHE ticks. The agent makes
    every CPU program its timer again (guest/agent.py), but newer kernels (7.2 and 7.3 seen, 6.18
    good) expire a timer that is over at once, without programming anything: there a CPU may sleep
    for ever, minutes later.
    """
    if shape.boots_cold:
        return False
    if shape.cpu.split(",")[0] in _WITHOUT_VHE:
        return True
    return kernels.find(shape.kernel, shape.page_size).numbers < (6, 19)


def homes() -> list[Path]:
    """Where snapshots may lie, the quickest first."""
    memory = cache.memory_root()
    return [memory, cache.root()] if memory else [cache.root()]


def allocated(path: Path) -> int:
    """Bytes that a tree really takes."""
    return sum(each.lstat().st_blocks * 512 for each in path.rglob("*") if not each.is_dir())


def existing() -> list[Path]:
    """All snapshots, the longest unused first."""
    found = [path for home in homes() for path in (home / KIND).glob("*")]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def _lock_name(name: str) -> str:
    return f"in-use.{name}"


def evict(path: Path) -> None:
    """Remove a snapshot unless a lab is restoring from it."""
    with (
        contextlib.suppress(BlockingIOError),
        cache.lock(_lock_name(path.name), wait=False),
    ):
        cache.remove(path)


def _available_memory() -> int:
    with open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 0


def _home_for_another() -> Path:
    """Where the next snapshot goes, after making room for it."""
    for path in existing()[: -_MOST + 1] if len(existing()) >= _MOST else []:
        evict(path)
    memory = cache.memory_root()
    if memory is None:
        return cache.root()
    size = os.statvfs(memory)
    share = size.f_blocks * size.f_frsize // _TMPFS_SHARE
    free = size.f_bavail * size.f_frsize
    fits = allocated(memory) + _TYPICAL_BYTES <= share and free >= 2 * _TYPICAL_BYTES
    return memory if fits and _available_memory() >= 8 * _TYPICAL_BYTES else cache.root()


def punch_zeros(path: Path) -> None:
    """Give back the file's blocks that hold nothing but zeros."""
    step = 64 * 1024
    blank = bytes(step)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        size = len(view)
        position = 0
        while position < size:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            for offset in range(start - start % step, end, step):
                if view[offset : offset + step] == blank[: size - offset]:
                    _libc.fallocate(
                        file.fileno(),
                        _FALLOC_PUNCH_HOLE,
                        ctypes.c_long(offset),
                        ctypes.c_long(min(step, size - offset)),
                    )
            position = end


def _make(shape: Shape, parts: Parts, emulator: Emulator, into: Path) -> None:
    with cache.workdir() as work:
        progress.say(f"booting {shape} for a snapshot")
        words = arguments(shape, parts.assemble(work), Memory(into / "ram", shared=True))
        with Machine(emulator, words, work) as machine:
            Conversation(machine).ready()
            progress.say("saving the snapshot")
            control = machine.control
            control.do("stop")
            _ignore_shared(machine)
            control.do("migrate-set-parameters", **{"max-bandwidth": 8 << 30})
            control.do("migrate", uri=f"exec:cat > {shlex.quote(str(into / 'state'))}")
            control.migrated(PATIENCE_SECONDS)
    punch_zeros(into / "ram")


def _ignore_shared(machine: Machine) -> None:
    # The memory is in the file already: only devices travel through the stream.
    machine.control.do(
        "migrate-set-capabilities",
        capabilities=[{"capability": "x-ignore-shared", "state": True}],
    )


@contextlib.contextmanager
def held(shape: Shape, parts: Parts, emulator: Emulator) -> Iterator[Path]:
    """The shape's snapshot, made if it does not exist, safe from eviction inside the block."""
    name = key(shape, parts, emulator)
    for _ in range(3):
        with cache.lock(_lock_name(name), shared=True):
            for home in homes():
                if (home / KIND / name).is_dir():
                    os.utime(home / KIND / name)
                    yield home / KIND / name
                    return
        cache.item(
            KIND, name, lambda into: _make(shape, parts, emulator, into), _home_for_another()
        )
    raise LabError("other labs need the snapshot's room again and again; try with fewer at once.")


def resume(machine: Machine, snapshot: Path) -> None:
    """Bring a machine that waits for it to the snapshot's state, and let it run."""
    control = machine.control
    _ignore_shared(machine)
    control.do("migrate-incoming", uri=f"exec:cat {shlex.quote(str(snapshot / 'state'))}")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while control.do("query-status")["status"] == "inmigrate":
        if time.monotonic() > deadline:
            raise machine.failure("QEMU did not get the snapshot loaded in time.")
        time.sleep(0.005)
    control.do("cont")
