# SPDX-License-Identifier: Apache-2.0
"""Stock Linux in the minimal VMM: boots, disk, console, reset.

A boot takes ten seconds of an emulated host, so each guest here shows much at once, and each host
of the suite runs a part (tests/runner/parts.py).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.arm64.vmm.linux import linux

pytestmark = pytest.mark.needs("linux_guest")

_DISK = """\
modprobe virtio_mmio; modprobe virtio_rng; modprobe virtio_blk
until [ -b /dev/vda ]; do :; done
if [ x$(head -c 5 /dev/vda) != xAGAIN ]; then
dd if=/dev/urandom of=/dev/vda bs=1M seek=1 count=4 2>/dev/null
printf AGAIN | dd of=/dev/vda conv=notrunc 2>/dev/null; sync; reboot -f; fi
dd if=/dev/vda bs=1M skip=1 count=4 2>/dev/null | sha256sum; nproc; cat /proc/interrupts
echo who is there; read name; echo hello $name; poweroff -f"""


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_what_is_written_is_there_after_a_reset_and_on_the_host(tmp_path: Path, cpus: int) -> None:
    """A disk in use across a reset, random numbers, input."""
    disk = tmp_path / "disk"
    with open(disk, "wb") as file:
        file.truncate(8 << 20)
    with linux(_DISK.replace("then\n", "then ").replace("\n", "; "), "--cpus", str(cpus), "--rng",
               "--disk", str(disk), "--strict") as guest:  # fmt: skip
        said = guest.until("who is there")
        guest.type("typist\n")
        guest.until("hello typist")
        assert guest.end() == (0, "")
    written = disk.read_bytes()[1 << 20 : 5 << 20]
    assert any(written)
    assert hashlib.sha256(written).hexdigest() in said
    assert f"\n{cpus}\n" in said
    # The disk's interrupts came by irqfd, on the line that the device tree names.
    assert "virtio0" in said


def test_a_16550_a_virtio_console_and_a_reset_that_is_not_wanted() -> None:
    script = (
        "modprobe virtio_mmio; until [ -c /dev/hvc0 ]; do :; done; grep -c ttyS0 /proc/interrupts; "
        "exec </dev/hvc0 >/dev/hvc0; echo who is there; read name; echo hello $name; reboot -f"
    )
    words = ("--uart", "16550", "--console", "virtio", "--no-reboot")
    with linux(script, *words) as guest:
        assert "1" in guest.until("who is there")
        guest.type("typist\n")
        guest.until("hello typist")
        assert guest.end() == (3, "")


def test_a_suspended_system_wakes_by_its_clock() -> None:
    script = "probe suspend 3; grep rtc /proc/interrupts; poweroff -f"
    with linux(script, "--cpus", "2") as guest:
        guest.until("suspend: back")
        assert guest.end() == (0, "")
