# SPDX-License-Identifier: Apache-2.0
"""What runs on the host: the same guest in both VMMs, in turn, and what it took."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

GUEST = Path("/guest")
OURS = Path(__file__).resolve().parents[2] / "examples" / "boot_linux.py"
_LIMIT = 600
_BLOCKS = 2000
_MEGABYTES = 16


class Vmm:
    """One of the two, with its command line."""

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, script: str, disk: Path) -> list[str]:
        words = f'quiet guest.run="{script}"'
        image, initrd = str(GUEST / "Image"), str(GUEST / "initrd")
        if self.name == "pykvm":
            return [
                sys.executable, str(OURS), image, "--initrd", initrd, "--memory", "256M",
                "--disk", str(disk), "--append", words,
            ]  # fmt: skip
        return [
            "qemu-system-aarch64", "-machine", "virt,accel=kvm,gic-version=host", "-cpu", "host",
            "-m", "256M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", "stdio", "-kernel", image, "-initrd", initrd, "-append", words,
            "-drive", f"file={disk},format=raw,if=none,id=d,cache=writeback",
            "-device", "virtio-blk-device,drive=d", "-global", "virtio-mmio.force-legacy=false",
        ]  # fmt: skip


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def marks(vmm: Vmm, script: str, disk: Path) -> dict[str, float]:
    """When the guest printed each ``MARK word``: seconds since the VMM was started."""
    found: dict[str, float] = {}
    start = time.monotonic()
    said = b""
    with running(vmm.command(script, disk)) as process:
        assert process.stdout is not None
        while True:
            left = _LIMIT - (time.monotonic() - start)
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise SystemExit(
                    f"{vmm.name}: nothing for {_LIMIT} s; it said last: {said[-500:]!r}"
                )
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                return found
            said = said[-10_000:] + data
            for line in said.split(b"\n")[:-1]:
                if line.startswith(b"MARK "):
                    found.setdefault(line[5:].strip().decode(), time.monotonic() - start)


_SCRIPT = f"""\
echo MARK init
modprobe virtio_mmio
modprobe virtio_blk
until [ -b /dev/vda ]
do :
done
echo MARK disk
dd if=/dev/vda of=/dev/null bs=1M count={_MEGABYTES} iflag=direct 2>/dev/null
echo MARK sequential
dd if=/dev/vda of=/dev/null bs=4k count={_BLOCKS} iflag=direct 2>/dev/null
echo MARK blocks
dd if=/dev/zero bs=16k count=2 2>/dev/null | tr '\\0' x
echo
echo MARK console
poweroff -f"""

#: What is told: a name, from which mark to which.
_ROWS = {
    "start to /init": ("", "init"),
    "loading the disk's driver": ("init", "disk"),
    f"{_MEGABYTES} MiB in 1 MiB reads": ("disk", "sequential"),
    f"{_BLOCKS} reads of 4 KiB": ("sequential", "blocks"),
    "32 KiB to the console": ("blocks", "console"),
}


def measure(vmm: Vmm, disk: Path) -> dict[str, float]:
    script = _SCRIPT.replace("do :\ndone", "do :; done").replace("]\ndo", "]; do")
    reached = {"": 0.0, **marks(vmm, script.replace("\n", "; "), disk)}
    return {row: reached[to] - reached[since] for row, (since, to) in _ROWS.items()}


def table(results: dict[str, list[dict[str, float]]]) -> Table:
    shown = Table(title="pykvm's minimal VMM beside QEMU, medians", box=box.SIMPLE, pad_edge=False)
    shown.add_column("", no_wrap=True)
    for column in ("QEMU", "pykvm", "ratio"):
        shown.add_column(column, justify="right")
    for row in _ROWS:
        ours, theirs = (
            statistics.median(each[row] for each in results[name]) for name in ("pykvm", "qemu")
        )
        shown.add_row(row, f"{theirs:.2f} s", f"{ours:.2f} s", f"{ours / theirs:.2f}")
    return shown


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3, metavar="N", help="of each, in turn (3)")
    rounds = options.parse_args().rounds
    results: dict[str, list[dict[str, float]]] = {"qemu": [], "pykvm": []}
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder, "disk")
        disk.write_bytes(os.urandom(1 << 20) * 2 * _MEGABYTES)
        for _ in range(rounds):
            for name, found in results.items():
                found.append(measure(Vmm(name), disk))
                print(name, {row: round(took, 2) for row, took in found[-1].items()}, flush=True)
    Console(width=100).print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
