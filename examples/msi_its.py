#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Message-signalled interrupts through the ITS: by an irqfd, or by KVM_SIGNAL_MSI.

The guest maps one event of a device to an LPI and counts it. An irqfd delivers it where the routing
table leads its gsi to that message (--by irqfd, the default); KVM_SIGNAL_MSI sends it directly
(--by ioctl). Needs a GICv3: a GICv2 has no ITS.
"""

from __future__ import annotations

from collections.abc import Callable

from guests import arguments as guest_arguments
from tally import Tally, finish, parser, wait_for
from tinyvm import TinyVm

from pykvm import MsiRoute

DEVICE_ID, EVENT_ID = 8, 0
GSI = 100
LIMIT = 30.0  # seconds for one interrupt: long enough for a busy machine


def sender(tiny: TinyVm, by: str) -> Callable[[], object]:
    """What sends one message."""
    assert tiny.its is not None
    doorbell = tiny.its.doorbell
    if by == "ioctl":
        return lambda: tiny.vm.signal_msi(doorbell, EVENT_ID, devid=DEVICE_ID)
    tiny.vm.set_gsi_routing([MsiRoute(GSI, doorbell, EVENT_ID, DEVICE_ID)])
    return tiny.vm.irqfd(gsi=GSI).inject


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--by", choices=("irqfd", "ioctl"), default="irqfd")
    options = words.parse_args()
    with TinyVm("lpi", gic=options.gic or 3, its=True) as tiny:
        report = tiny.report
        tiny.set_registers(guest_arguments.lpi(device_id=DEVICE_ID))
        send = sender(tiny, options.by)
        sent = lost = 0
        with tiny.running():
            if not wait_for(lambda: report.ready, 1, LIMIT):
                raise SystemExit(f"the guest did not get ready: {report.failure}")
            while sent < options.count and not lost:
                send()
                sent += 1
                lost += not wait_for(lambda: report.lpi_ended(EVENT_ID), sent, LIMIT)
        tally = Tally("msi_its", tiny.gic_name, sent=sent, lost=lost, spurious=report.spurious)
        tally.taken, tally.ended = report.lpi_taken(EVENT_ID), report.lpi_ended(EVENT_ID)
    return tally.tell(options.json)


if __name__ == "__main__":
    finish(main)
