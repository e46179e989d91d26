#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An eventfd becomes an interrupt: each write is one edge-triggered SPI in the guest.

Edges that come before the guest has taken the last one are one interrupt, so this waits for each.
"""

from __future__ import annotations

from guests import arguments as guest_arguments
from tally import Tally, finish, parser, wait_for
from tinyvm import TinyVm

from pykvm import EventFd

INTID = 40


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--control", action="store_true", help="no binding: nothing must arrive")
    options = words.parse_args()
    # Long enough for a busy machine; without a binding nothing comes, however long one waits.
    limit = 0.01 if options.control else 30.0
    with TinyVm("spi", gic=options.gic) as tiny, EventFd() as eventfd:
        report = tiny.report
        tiny.set_registers(guest_arguments.spi(gic_version=tiny.gic_version, first_intid=INTID))
        if not options.control:
            tiny.vm.irqfd(intid=INTID, eventfd=eventfd)
        sent = lost = 0
        with tiny.running():
            if not wait_for(lambda: report.ready, 1, 30):
                raise SystemExit(f"the guest did not get ready: {report.failure}")
            while sent < options.count and (options.control or not lost):
                eventfd.signal()
                sent += 1
                if not wait_for(lambda: report.taken(INTID), sent - lost, limit):
                    lost += 1
            wait_for(lambda: report.ended(INTID), report.taken(INTID), limit)
        tally = Tally("irqfd_edge", tiny.gic_name, sent=sent, lost=lost)
        tally.taken = report.taken(INTID)
        tally.ended = report.ended(INTID)
        tally.spurious = report.spurious
    return tally.tell(options.json)


if __name__ == "__main__":
    finish(main)
