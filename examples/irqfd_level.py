#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A level-triggered interrupt, and the news of its end: irqfd with resamplefd.

The device wants service a number of times. It raises the line; the guest takes the interrupt,
acknowledges the device by a store to its register, as drivers do, and ends the interrupt. KVM
lowers the line and signals the resamplefd; the device, if it still wants service, raises again.

--without-mmio leaves the acknowledge out. Kernels 7.2 and 7.3 with a GICv3 then lose the end of an
interrupt that the guest takes and ends without leaving in between: it comes again and again. This
is recognised and named, with exit status 3.
"""

from __future__ import annotations

import sys
import time

from guests import arguments as guest_arguments
from guests import layout
from tally import Tally, finish, parser, wait_for
from tinyvm import TinyVm

from pykvm import EventFd, Exit, MmioWrite

INTID = 42
LIMIT = 30.0  # seconds for one interrupt: long enough for a busy machine
#: More interrupts than were sent, by this many: the kernel has missed an end.
STORM = 1000


class Device:
    """It wants service ``wants`` times; a store to its register is one service."""

    def __init__(self, wants: int) -> None:
        self.wants = wants

    def store(self, exit: Exit) -> None:
        match exit:
            case MmioWrite(gpa=layout.DEVICE_ACK_GPA, value=value) if value == INTID:
                self.wants -= 1
            case other:
                raise SystemExit(f"the guest does what nobody expects: {other}")


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--without-mmio", action="store_true", help="no acknowledge: see above")
    options = words.parse_args()
    device = Device(options.count)
    sent = resampled = lost = 0
    stormed = False
    with TinyVm("spi", gic=options.gic) as tiny:
        report = tiny.report
        tiny.set_registers(
            guest_arguments.spi(
                gic_version=tiny.gic_version,
                first_intid=INTID,
                trigger="level",
                ack_device=not options.without_mmio,
            )
        )
        news = EventFd()
        irqfd = tiny.vm.irqfd(intid=INTID, resample=news)
        with tiny.running(device.store):
            if not wait_for(lambda: report.ready, 1, LIMIT):
                raise SystemExit(f"the guest did not get ready: {report.failure}")
            while device.wants and not lost and not stormed:
                irqfd.inject()
                sent += 1
                deadline = time.monotonic() + LIMIT
                while not (ends := news.wait(0.1)) and time.monotonic() < deadline:
                    if report.taken(INTID) > sent + STORM:
                        break
                stormed = report.taken(INTID) > sent + STORM
                resampled += ends
                lost += not ends and not stormed
                if options.without_mmio:
                    device.wants -= 1
            irqfd.close()  # lowers the line: a storm ends here
            wait_for(lambda: report.ended(INTID), sent, LIMIT)
        tally = Tally("irqfd_level", tiny.gic_name, sent=sent, resampled=resampled, lost=lost)
        tally.taken = report.taken(INTID)
        tally.ended = report.ended(INTID)
        tally.spurious = report.spurious
    if options.without_mmio and tally.taken > sent:
        print(
            f"This kernel loses the end of a level interrupt when the guest does not leave between "
            f"taking and ending it: {tally.taken} interrupts for {sent} signals (known of kernels "
            f"7.2 and 7.3 with a GICv3).",
            file=sys.stderr,
        )
        tally.tell(options.json)
        return 3
    return tally.tell(options.json) or int(device.wants != 0)


if __name__ == "__main__":
    finish(main)
