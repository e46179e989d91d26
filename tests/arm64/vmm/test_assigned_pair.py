# SPDX-License-Identifier: Apache-2.0
"""Two devices of the host in one guest: each has its interrupt, both see the same memory."""

from __future__ import annotations

import hashlib
import mmap
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from minivmm import layout

from tests.arm64.vmm.linux import PATIENCE, linux
from tests.devices.counts import Counts
from tests.devices.kinds import KINDS, MIB, READ_SIZE
from tests.kvm.footprint import unchanged
from tests.lab.scratch import contents
from tests.vfio import bound, pinned_pages, trust_guests

pytestmark = pytest.mark.needs("vfio_group", "linux_guest")

_PAIR = ("ahci", "xhci")
_READS = 100
_MEMORY = 128 * MIB
_LOAD = "; ".join(f"modprobe {module}" for kind in _PAIR for module in KINDS[kind].modules)
_DIRECTLY = "dd iflag=direct 2>/dev/null"
_SCRIPT = "; ".join(
    (
        _LOAD,
        "until [ -b /dev/sda ] && [ -b /dev/sdb ]; do sleep 0.1; done",
        # Whichever was found first is sda.
        "ahci=/dev/sda xhci=/dev/sdb",
        "if ls -l /sys/block/sda | grep -q usb; then ahci=/dev/sdb xhci=/dev/sda; fi",
        f"all() {{ echo $1 $({_DIRECTLY} if=$2 bs=1M count={READ_SIZE // MIB} | md5sum); }}",
        f"some() {{ {_DIRECTLY} if=$1 of=/dev/null bs=4k count={_READS}; }}",
        "echo mark ready; read x",
        "all ahci $ahci >/tmp/ahci & all xhci $xhci; wait; cat /tmp/ahci; echo mark both; read x",
        "some $ahci; echo mark ahci; read x",
        "some $xhci; echo mark xhci; read x; grep -e generic- -e hcd /proc/interrupts",
        "cd /sys/bus/platform/drivers/xhci-hcd; echo *.generic-xhci >unbind",
        "all ahci $ahci; echo mark gone; read x; poweroff -f",
    )
)
_DATA = hashlib.md5(contents(0, READ_SIZE), usedforsecurity=False).hexdigest()


def _until_pinned(pages: int) -> None:
    """At an end, the kernel may let go of pages a little later."""
    end = time.monotonic() + PATIENCE
    while (found := pinned_pages()) != pages:
        assert time.monotonic() < end, f"{found} pages are pinned, not {pages}"
        time.sleep(0.05)


def _locked_kib(pid: int) -> int:
    """What counts towards RLIMIT_MEMLOCK."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.findall(r"^VmLck:\s+(\d+) kB$", status, re.M)[0])


def _lines(*devices: Counts) -> list[Mapping[str, int]]:
    """What was counted of each device's line."""
    counted = ("host", "raised", "acknowledged")
    return [{name: device.now()[name] for name in counted} for device in devices]


def _since(before: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
    return {name: now[name] - before[name] for name in now}


def _check_ended(counts: Mapping[str, int]) -> None:
    """Each interrupt came from the device, and the guest's end of it came back to it."""
    assert counts["raised"] == counts["acknowledged"] >= counts["host"] >= _READS, counts


def test_each_has_its_interrupt_and_both_the_same_memory() -> None:
    trust_guests()
    addresses = [bound(kind) for kind in _PAIR]
    words = [word for address in addresses for word in ("--device", f"{address},direct")]
    registers = range(layout.ASSIGNED, layout.ASSIGNED_END)
    pinned = pinned_pages()
    with (
        unchanged(),
        Counts(addresses[0], layout.ASSIGNED_INTID, registers) as ahci,
        Counts(addresses[1], layout.ASSIGNED_INTID + 1, registers) as xhci,
        linux(_SCRIPT, *words, "--memory", f"{_MEMORY // MIB}") as guest,
    ):
        guest.next("mark ready")
        # One address space for both: memory is mapped, pinned and accounted for once.
        _until_pinned(pinned + _MEMORY // mmap.PAGESIZE)
        assert _locked_kib(guest.pid) == _MEMORY >> 10
        guest.type("\n")
        said = guest.next("mark both")
        assert f"ahci {_DATA} -\n" in said
        assert f"xhci {_DATA} -\n" in said
        before = _lines(ahci, xhci)
        guest.type("\n")
        guest.next("mark ahci")
        between = _lines(ahci, xhci)
        _check_ended(_since(before[0], between[0]))
        assert between[1] == before[1]
        guest.type("\n")
        guest.next("mark xhci")
        after = _lines(ahci, xhci)
        _check_ended(_since(between[1], after[1]))
        assert after[0] == between[0]
        # One of them goes; the other does what it did.
        guest.type("\n")
        said = guest.next("mark gone")
        assert f"ahci {_DATA} -\n" in said
        lines = re.findall(r"GIC\S* +(\d+) Level +(\S+)", said)
        assert [int(intid) for intid, _ in lines] == [96, 97], said
        for counts in _lines(ahci, xhci):
            _check_ended(counts)
        assert ahci.now()["register exits"] == 0  # of either's
        guest.type("\n")
        assert guest.end() == (0, "")
    _until_pinned(pinned)
