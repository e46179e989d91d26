# SPDX-License-Identifier: Apache-2.0
"""A command on a host of a given shape, from start to end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab import boot, cache, emulators, progress, scratch, snapshots, terminal, tree
from tests.lab.boot import Parts
from tests.lab.emulators import Emulator
from tests.lab.job import Conversation, Job, carry_out, start
from tests.lab.machine import BootFiles, Machine, Memory, arguments
from tests.lab.shapes import Shape


@contextlib.contextmanager
def _restored(shape: Shape, parts: Parts, emulator: Emulator, work: Path) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:
        with snapshots.held(shape, parts, emulator) as snapshot:
            progress.say(f"restoring {shape}")
            memory = Memory(snapshot / "ram", shared=False)
            words = arguments(shape, BootFiles(parts.image, None), memory)
            machine = stack.enter_context(Machine(emulator, words, work, incoming=True))
            snapshots.resume(machine, snapshot)
        yield machine


@contextlib.contextmanager
def _booted(shape: Shape, parts: Parts, emulator: Emulator, work: Path) -> Iterator[Machine]:
    progress.say(f"booting {shape}")
    drives = scratch.make(work, shape.drives)
    words = arguments(shape, parts.assemble(work), None, drives)
    with Machine(emulator, words, work) as machine:
        Conversation(machine).ready()
        yield machine
        if shape.disks:
            machine.quit()


def _run_counted(shape: Shape, parts: Parts, emulator: Emulator, job: Job, load: bytes) -> int:
    with cache.workdir() as work:
        # Nothing may reach the host from outside while it counts: the job is in what it boots from.
        files = parts.assemble(work, job.described(counted=True), load)
        progress.say(f"booting {shape}, and counting; its output comes at the end")
        words = arguments(shape, files, None, scratch.make(work, shape.drives))
        with Machine(emulator, words, work) as machine:
            return carry_out(machine, Conversation(machine), job, has_started=True)


def run(
    shape: Shape,
    job: Job,
    *,
    install: bool = True,
    traced: bool = False,
    slower: str = "",
    files: Sequence[tuple[Path, str]] = (),
) -> int:
    """Run a command on an emulated host in a copy of the working tree; its exit status."""
    with cache.lock("users", shared=True):
        emulator = emulators.find(shape.qemu)
        parts = boot.parts(shape)
        load = tree.payload(install, files, traced=traced, slower=slower)
        if shape.icount:
            return _run_counted(shape, parts, emulator, job, load)
        host = _restored if snapshots.hold(shape) else _booted
        with cache.workdir() as work, host(shape, parts, emulator, work) as machine:
            talk = Conversation(machine)
            start(talk, job, load)
            progress.done()
            if not job.takes_input:
                return carry_out(machine, talk, job)
            with terminal.attached(talk, job):
                return carry_out(machine, talk, job)


def prepare(shape: Shape, *, install: bool = True) -> Path | None:
    """Fetch and build all that a host of this shape needs; its snapshot, if it can have one."""
    with cache.lock("users", shared=True):
        emulator = emulators.find(shape.qemu)
        parts = boot.parts(shape)
        if install:
            tree.payload(install, ())
        if not snapshots.hold(shape):
            return None
        with snapshots.held(shape, parts, emulator) as snapshot:
            return snapshot
