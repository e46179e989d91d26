#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives a PCI device of this host to a Linux guest, and shows what becomes of it.

    assign_device.py --list
    assign_device.py --device 0000:00:02.0 /boot/vmlinuz --initrd initrd.img --append '…'

Beyond --list and --without, the options are those of boot_linux.py, which does the work; the wiring
is in minivmm/vfio/assign.py. The device has to be bound to vfio-pci: if it is not, the program says
how. Its interrupts never come by here: host and guest are asked how many there were.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

import boot_linux
from minivmm import options
from minivmm.endings import BadInput
from minivmm.vfio.assign import KINDS, kind_of, mappable
from minivmm.vfio.device import INTX, MSI, MSIX, VfioDevice
from minivmm.vfio.dma import Container
from minivmm.vfio.host import PCI, HostDevice

from pykvm import KvmError

#: What can be left out, to see what it is for.
PARTS = {"resample": "resample", "level": "level", "bus-master": "bus_master"}


def main() -> int:
    words = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words.add_argument("--list", action="store_true", help="this host's PCI devices, and end")
    words.add_argument(
        "--without",
        choices=PARTS,
        help="leave out what an interrupt or DMA needs: the resamplefd, by which a device hears of "
        "its end; the word level in the device tree; the device's leave to do DMA",
    )
    mine, rest = words.parse_known_args()
    if mine.list:
        for path in sorted(PCI.glob("devices/*")):
            print(in_a_line(HostDevice(path.name)))
        return 0
    try:
        given = options.parse(rest)
        if not given.device:
            raise BadInput("--device is missing: --list names this host's")
        for wanted in given.device:
            print(*described(HostDevice(wanted.address)), sep="\n", flush=True)
    except (BadInput, KvmError) as refusal:
        print(f"assign_device: {refusal}", file=sys.stderr)
        return 2
    if mine.without:
        left_out = {PARTS[mine.without]: False}
        given.device = [wanted._replace(**left_out) for wanted in given.device]
    given.stats = given.stats or "end"
    return boot_linux.main(given)


def in_a_line(host: HostDevice) -> str:
    kind = KINDS.get(host.class_code)
    what = kind.name if kind else f"class {host.class_code:06x}"
    group = "no group" if host.group is None else f"group {host.group}"
    vendor, device = host.ids
    driver = host.driver or "no driver"
    return f"{host.address}  {vendor:04x}:{device:04x}  {what:13} {group:9} {driver}"


def described(host: HostDevice) -> list[str]:
    """What VFIO tells of a device that can be given away."""
    kind = kind_of(host)
    with closing(Container()) as container:
        device = VfioDevice(container.open_device(host))
        with closing(device):
            region = device.region(kind.bar)
            direct = sum(map(len, mappable(region)))
            counts = {"INTx": INTX, "MSI": MSI, "MSI-X": MSIX}
            irqs = [f"{device.irq_count(index)} {name}" for name, index in counts.items()]
            reserved = [
                f"{span.start:#x}-{span.stop - 1:#x} ({why})" for span, why in host.reserved()
            ]
    access = f"{direct:#x} of them can be the guest's own" if direct else "each access is trapped"
    reset = "the host can reset it" if device.can_reset else "only its driver can reset it"
    return [
        in_a_line(host),
        f"  registers   BAR {kind.bar}, {region.size:#x} bytes: {access}",
        f"  DMA         cannot use {', '.join(reserved) or 'nothing'}",
        f"  interrupts  {', '.join(irqs)}; {reset}",
        f"  in the guest it is {kind.compatible}",
    ]


if __name__ == "__main__":
    sys.exit(main())
