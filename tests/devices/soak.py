# SPDX-License-Identifier: Apache-2.0
"""On an emulated host: one device, guest after guest, however each of them ends.

After every end the host's kernel must have everything back: no page stays pinned, no interrupt
requested, and the next guest finds the device.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, "examples")

from minivmm.vfio.host import users

from tests.arm64.vmm.linux import Linux, linux
from tests.devices.kinds import KINDS
from tests.vfio import bound, pinned_pages, trust_guests

_PATIENCE_SECONDS = 60
#: For a program. What a guest does not say is told of sooner: this is for whatever else stands.
_LIMIT_SECONDS = 1800
_KIND = KINDS["ahci"]
_LOAD = "; ".join(f"modprobe {name}" for name in _KIND.modules)
_WAIT = f"until [ -b {_KIND.disk} ]; do :; done"
#: Reads what it knows, then goes on for ever if it is not told to end.
_SCRIPT = (
    f"echo mark up; read x; {_LOAD}; {_WAIT}; "
    f"dd if={_KIND.disk} bs=512 skip=4660 count=1 2>/dev/null | head -n 1; echo mark read; "
    "read x; [ x$x = xend ] && poweroff -f; [ x$x = xagain ] && reboot -f; echo mark busy; "
    f"while dd if={_KIND.disk} of=/dev/null bs=64k count=100 iflag=direct 2>/dev/null; do :; done"
)


def _ends_by_itself(guest: Linux) -> None:
    guest.next("mark up")
    guest.type("\n")
    assert "sector 00001234\n" in guest.next("mark read")
    guest.type("end\n")
    assert guest.end()[0] == 0


def _five_in_a_row(guest: Linux) -> None:
    """One program, a VM after the other: each reset ends one and makes the next."""
    for _ in range(4):
        guest.next("mark up")
        guest.type("\n")
        assert "sector 00001234\n" in guest.next("mark read")
        guest.type("again\n")
    _ends_by_itself(guest)


def _killed_before_it_reads(guest: Linux) -> None:
    guest.next("mark up")
    guest.signal(signal.SIGKILL)


def _killed_while_it_reads(guest: Linux) -> None:
    guest.next("mark up")
    guest.type("\n")
    guest.next("mark read")
    guest.type("\n")
    guest.next("mark busy")
    time.sleep(0.2)
    guest.signal(signal.SIGKILL)


def _told_to_end_while_it_reads(guest: Linux) -> None:
    guest.next("mark up")
    guest.type("\n")
    guest.next("mark read")
    guest.type("\n")
    guest.next("mark busy")
    guest.signal(signal.SIGTERM)
    assert guest.end()[0] == 128 + signal.SIGTERM


def _is_free(address: str, group: Path, pinned: int) -> bool:
    interrupts = Path("/proc/interrupts").read_text(encoding="utf-8")
    return f"({address})" not in interrupts and pinned_pages() == pinned and not users(group)


def main(count: str = "50") -> int:
    trust_guests()
    address = bound(_KIND.name)
    number = Path(f"/sys/bus/pci/devices/{address}/iommu_group").readlink().name
    group = Path("/dev/vfio", number)
    pinned = pinned_pages()
    ends: list[Callable[[Linux], None]] = [_five_in_a_row] * (int(count) // 5)
    cuts = [_killed_before_it_reads, _killed_while_it_reads, _told_to_end_while_it_reads]
    cuts *= 1 + int(count) // 25
    ends += [end for cut in cuts for end in (cut, _ends_by_itself)]
    start = time.monotonic()
    for life, end in enumerate(ends, start=1):
        faulthandler.dump_traceback_later(_LIMIT_SECONDS, exit=True)
        with linux(_SCRIPT, "--device", f"{address},direct", "--memory", "128") as guest:
            end(guest)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _is_free(address, group, pinned):
            if time.monotonic() > deadline:
                left = pinned_pages() - pinned
                print(
                    f"after program {life} ({end.__name__}): {left} pages pinned, "
                    f"{group} open as {users(group)}"
                )
                return 1
            time.sleep(0.05)
        print(f"{time.monotonic() - start:7.1f} s  program {life}: {end.__name__[1:]}", flush=True)
    print(
        f"{int(count) // 5 * 5} guests in a row, then {len(cuts)} killed or told to end, each with "
        "one after it that reads what the disk holds: nothing is left of any"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
