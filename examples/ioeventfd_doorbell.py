#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A doorbell and its answer, as virtio devices work: neither makes the vCPU leave the kernel.

The guest stores to the doorbell's address, and KVM signals an eventfd (ioeventfd). Whoever waits
for it answers with another eventfd, and KVM injects an interrupt (irqfd). The guest rings again.
"""

from __future__ import annotations

import sys

from guests import arguments as guest_arguments
from guests import layout
from tally import Tally, finish, parser, wait_for
from tinyvm import TinyVm

INTID = 41
WIDTH = 4


def main() -> int:
    options = parser(__doc__).parse_args()
    limit = 30.0
    with TinyVm("doorbell", gic=options.gic) as tiny:
        report = tiny.report
        tiny.set_registers(
            guest_arguments.doorbell(
                count=options.count,
                width=WIDTH,
                wait_for="interrupt",
                intid=INTID,
                gic_version=tiny.gic_version,
            )
        )
        doorbell = tiny.vm.ioeventfd(layout.DOORBELL_GPA, WIDTH)
        answer = tiny.vm.irqfd(intid=INTID)
        sent = lost = 0
        # Nothing handles a store to the doorbell: one that left the kernel would end the example.
        with tiny.running():
            while sent < options.count and not lost and doorbell.eventfd.wait(limit) == 1:
                answer.inject()
                sent += 1
                if not wait_for(lambda: report.ended(INTID), sent, limit):
                    lost += 1
            wait_for(lambda: report.done, 1, limit)
        tally = Tally("ioeventfd_doorbell", tiny.gic_name, sent=sent, lost=lost)
        tally.taken = report.taken(INTID)
        tally.ended = report.ended(INTID)
        tally.spurious = report.spurious
    if sent < options.count:
        print(f"the doorbell rang {sent} times of {options.count}", file=sys.stderr)
    return tally.tell(options.json) or int(sent < options.count)


if __name__ == "__main__":
    finish(main)
