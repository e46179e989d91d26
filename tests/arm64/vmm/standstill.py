# SPDX-License-Identifier: Apache-2.0
"""A program that stands still, as its host sees it: to be told before it is ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_KVM = Path("/sys/kernel/debug/kvm")
#: Of KVM's table of a VM's interrupts: type, number, target, then bits for pending, line, active, …
_ROW = re.compile(r" +\w+ +\d+ +-?\d+ ([01]{3})[01]+ ")


def standing(pid: int) -> str:
    """Where each of its threads is, in the kernel too (for root), and where interrupts are."""
    lines = [f"--- process {pid}:", *_threads(Path(f"/proc/{pid}"))]
    lines += ["--- interrupts of the host's devices:", *_assigned()]
    for state in sorted(_KVM.glob(f"{pid}-*/vgic-state")):
        lines += [f"--- {state.parent.name}, interrupts under way:", *under_way(state)]
    return "\n".join(["", *lines, ""])


def _threads(process: Path) -> Iterator[str]:
    for task in sorted(process.glob("task/*"), key=lambda path: int(path.name)):
        with suppress(OSError):  # it has ended meanwhile, or this user may not look
            name = (task / "comm").read_text().strip()
            state = (task / "stat").read_text().rpartition(")")[2].split()
            yield f"{task.name} {name}: {state[0]}, ticks {state[11]} + {state[12]}"
            yield f"  system call {(task / 'syscall').read_text().strip()}"
            yield from (f"  {line}" for line in (task / "stack").read_text().splitlines())


def _assigned() -> Iterator[str]:
    lines = Path("/proc/interrupts").read_text(encoding="utf-8").splitlines()
    return (line for line in lines if "vfio" in line)


def under_way(state: Path) -> Iterator[str]:
    """Those that are pending, up or active, and the table's heads."""
    with suppress(OSError):
        for line in state.read_text(encoding="utf-8").splitlines():
            found = _ROW.match(line)
            if " PLA" in line or (found and "1" in found[1]):
                yield line
