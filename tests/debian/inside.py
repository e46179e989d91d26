# SPDX-License-Identifier: Apache-2.0
"""On the host: Debian boots from a virtio disk by its own init, and somebody logs in."""

from __future__ import annotations

import re
import sys
import time

from tests.arm64.vmm.linux import linux

_DISK = "/dev/vda"
#: All that the first file system does.
_SWITCH = (
    "for name in virtio_mmio virtio_blk crc32c_generic ext4; do modprobe $name; done; "
    "until [ -b /dev/vda ]; do :; done; mount -t ext4 /dev/vda /mnt || poweroff -f; "
    "umount /proc /sys; exec switch_root /mnt /sbin/init"
)
_MINUTES = 900
#: What a shell sends to a terminal beside its words.
_ESCAPES = re.compile(r"\x1b\[[?\d;]*[a-zA-Z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


def main() -> int:
    start = time.monotonic()
    words = ("--disk", _DISK, "--memory", "768M", "--cpus", "2", "--rng", "--strict")
    with linux(_SWITCH, *words) as guest:

        def ask(question: str) -> list[str]:
            """What a command prints, between the line that was typed and a mark."""
            guest.type(f"{question}; echo end-$((6*7))\n")
            told = _ESCAPES.sub("", guest.until("end-42", _MINUTES)).rsplit("end-$((6*7))", 1)[-1]
            return [line for line in told.replace("end-42", "").splitlines() if line.strip()]

        guest.until("login:", _MINUTES)
        print(f"a login prompt after {time.monotonic() - start:.0f} s", flush=True)
        guest.type("root\n")
        guest.until("~#", _MINUTES)
        system = ask(". /etc/os-release; echo $PRETTY_NAME, $(uname -r), $(nproc) CPUs")[-1]
        print(f"logged in: {system}")
        state = ask("systemctl is-system-running --wait")[-1]
        print(f"systemctl is-system-running: {state}")
        failed = ask("systemctl --failed --no-legend --plain")
        print("failed units:", *failed or ["none"], sep="\n  ")
        print("slowest units:", *ask("systemd-analyze blame | head -3"), sep="\n  ", flush=True)
        guest.type("systemctl poweroff\n")
        status, errors = guest.end()
    print(f"powered off after {time.monotonic() - start:.0f} s: status {status} {errors}".rstrip())
    return status if status or not errors else 1


if __name__ == "__main__":
    sys.exit(main())
