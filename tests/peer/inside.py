# SPDX-License-Identifier: Apache-2.0
"""What runs on the host: the same guest in both VMMs, in turn, and what it took."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from tests.peer.table import Found, Row, table
from tests.peer.vmm import VMMS, Run, Vmm

_MIB = 1 << 20
_DISK = 32 * _MIB
_READS, _BLOCKS = 16, 1000
_SPIN, _IDLE = 3, 10
_UP = "modprobe virtio_mmio; modprobe virtio_blk; until [ -b /dev/vda ]; do :; done; "


def start(vmm: Vmm, disk: Path, _: argparse.Namespace) -> Found:
    """To /init, and what it took until the VMM let the guest run (ours tells)."""
    with Run(vmm, "echo MARK init; poweroff -f", disk, *vmm.tell_stages) as run:
        all_of_it = run.until("MARK init")
        run.finish()
        stages = run.stages()
    if not stages:
        return {Row.START: all_of_it}
    imports, set_up = stages["Python and imports"], stages["set-up"]
    guest = all_of_it - imports - set_up
    return {Row.START: all_of_it, Row.IMPORTS: imports, Row.SET_UP: set_up, Row.GUEST: guest}


def devices(vmm: Vmm, disk: Path, given: argparse.Namespace) -> Found:
    """The guest times itself."""
    script = (
        f"{_UP}measure read /dev/vda {_MIB} {_READS}; measure random /dev/vda 4096 {_BLOCKS}; "
        f"measure read /dev/vda 4096 {_BLOCKS}; measure letters {given.letters}; poweroff -f"
    )
    with Run(vmm, script, disk) as run:
        taken = [run.measured(what)[0] / 1e6 for what in ("read", "random", "read", "letters")]
        run.finish()
    return {
        Row.LARGE: _READS / taken[0],
        Row.RANDOM: _BLOCKS / taken[1],
        Row.SMALL: _BLOCKS / taken[2],
        Row.LETTERS: given.letters / 1024 / taken[3],
    }


def cpus(vmm: Vmm, disk: Path, _: argparse.Namespace) -> Found:
    """Two CPUs at once, then one, then none."""
    script = (
        f"measure spin {_SPIN}; echo 0 >/sys/devices/system/cpu/cpu1/online; "
        f"measure spin {_SPIN}; echo MARK idle; sleep 1000"
    )
    with Run(vmm, script, disk, *vmm.two_cpus) as run:
        both, alone = run.measured("spin"), run.measured("spin")
        run.until("MARK idle")
        idle = run.cpu_use(_IDLE)
    over_one = {Row.BOTH_CPUS: sum(both) / alone[0], Row.SLOWER_CPU: min(both) / alone[0]}
    return {**over_one, Row.IDLE: 100 * idle}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--starts", type=int, default=5, metavar="N", help="of each, in turn (5)")
    options.add_argument("--rounds", type=int, default=2, metavar="N", help="of the rest (2)")
    options.add_argument(
        "--letters", type=int, default=64 << 10, metavar="N", help="for the console (64 KiB)"
    )
    given = options.parse_args()
    parts: list[tuple[int, Callable[[Vmm, Path, argparse.Namespace], Found]]] = [
        (given.starts, start),
        (given.rounds, devices),
        (given.rounds, cpus),
    ]
    results: dict[str, list[Found]] = {name: [] for name in VMMS}
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder, "disk")
        disk.write_bytes(os.urandom(_MIB) * (_DISK // _MIB))
        for vmm in VMMS.values():  # once for nothing: what is read then is in memory for both
            start(vmm, disk, given)
        for rounds, part in parts:
            for _ in range(rounds):
                for name, vmm in VMMS.items():
                    results[name].append(found := part(vmm, disk, given))
                    shown = ", ".join(f"{row.value[0]} {row.show(of)}" for row, of in found.items())
                    print(f"{name}: {shown}", flush=True)
    Console(width=100).print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
