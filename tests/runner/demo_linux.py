# SPDX-License-Identifier: Apache-2.0
"""The demo's last part: a stock Linux in the minimal VMM, to its /init and off again."""

from __future__ import annotations

import subprocess
import sys
import time

from rich.console import Console

from tests.lab.linuxguest import HOME

_UP = "Linux is up"
_SCRIPT = (
    f"echo {_UP} after $(cut -d. -f1 /proc/uptime) s of its own clock, on $(nproc) CPUs; "
    "uname -sr; modprobe virtio_mmio; modprobe virtio_rng; "
    "echo $(head -c 1000 /dev/hwrng | wc -c) random bytes from this host; poweroff -f"
)
_COMMAND = (
    "python3", "examples/boot_linux.py", f"{HOME}/Image", "--initrd", f"{HOME}/initrd",
    "--cpus", "2", "--rng", "--stats", "--append", f'quiet guest.run="{_SCRIPT}"',
)  # fmt: skip


def show(console: Console, indent: str) -> bool:
    """Boots it on an emulated host; whether it came up, and went off by itself."""
    console.rule("Debian's Linux in the minimal VMM", align="left")
    console.print(f"{indent}$ {' '.join(_COMMAND[:-2])} …", markup=False)
    lab = (sys.executable, "-m", "tests.lab", "run", "--guest", "6.12", "--timeout", "300", "--")
    start, up = time.monotonic(), 0.0
    with subprocess.Popen(
        [*lab, *_COMMAND], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(_UP):
                up = time.monotonic() - start
            console.print(indent + line.rstrip(), markup=False, highlight=False)
    console.print(f"{indent}up {up:.1f} s after the emulated host was asked for it", markup=False)
    return bool(up) and process.returncode == 0
