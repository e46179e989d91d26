# SPDX-License-Identifier: Apache-2.0
"""The demo's end: a disk of the host's, given to a stock Linux whole, and who had to do with it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time

from rich.console import Console

from tests.lab.linuxguest import HOME
from tests.lab.scratch import contents

_SIZE = 8 << 20
_MODULES = ("ahci_platform", "sd_mod")
_SCRIPT = (
    "modprobe ahci_platform; modprobe sd_mod; until [ -b /dev/sda ]; do :; done; "
    f"echo $(dd if=/dev/sda bs=64k count={_SIZE >> 16} iflag=direct 2>/dev/null | md5sum); "
    "grep ahci /proc/interrupts; poweroff -f"
)
#: The AHCI controller of the host: asked for by its class, and bound as the example would say.
_FIND = "D=$(basename $(dirname $(grep -l 0x010601 /sys/bus/pci/devices/*/class)))"
_BIND = (
    "echo vfio-pci > /sys/bus/pci/devices/$D/driver_override; echo $D > /sys/bus/pci/drivers_probe"
)
_ASSIGN = (
    f"python3 examples/assign_device.py --device $D {HOME}/Image --initrd {HOME}/initrd "
    "--memory 128"
)


def show(console: Console, indent: str) -> bool:
    """Whether the guest read what the disk holds, and nobody but the kernel was in between."""
    console.rule("A disk of the host's, in the guest by VFIO", align="left")
    lab = [sys.executable, "-m", "tests.lab", "run", "--shape", "devices-gicv3", "--guest", "6.12"]
    lab += [word for name in _MODULES for word in ("--guest-module", name)]
    spoken = [_FIND, _BIND, f"{_ASSIGN} …"]
    steps = [f"echo '$ {spoken[0]}'", _FIND, f"echo '$ {spoken[1]}'", _BIND]
    steps += [f"echo '$ {spoken[2]}'", f"{_ASSIGN} --append 'quiet guest.run=\"{_SCRIPT}\"'"]
    start, said = time.monotonic(), ""
    with subprocess.Popen(
        [*lab, "--timeout", "300", "--", "sh", "-c", "; ".join(steps)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            console.print(indent + line.rstrip(), markup=False, highlight=False)
    expected = hashlib.md5(contents(0, _SIZE), usedforsecurity=False).hexdigest()
    of_guest = re.search(r"^ *\d+: +(\d+) .*ahci", said, re.MULTILINE)
    of_host = re.search(r"AHCI 0000:\S+ +([\d,]+)", said)
    leaving = re.search(r"(load|store) AHCI", said)
    if process.returncode or expected not in said or not of_guest or not of_host or leaving:
        return False
    console.print(
        f"{indent}{_SIZE >> 20} MiB read, and they are what the disk holds. {of_host[1]} "
        f"interrupts of the device's line by the end, {of_guest[1]} taken by the guest when it "
        "counted; Python saw none of them, and no access to a register. "
        f"{time.monotonic() - start:.0f} s",
        markup=False,
    )
    return True
