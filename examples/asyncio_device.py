#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A level-triggered device in asyncio: work arrives at any time, the guest takes it piece by piece.

The device is a number of pieces of work, and a line that is up as long as there are some. The vCPU
runs in a thread, where the guest's loads and stores are answered; everything else is asyncio.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress

from guests import arguments as guest_arguments
from guests import layout
from tally import Tally, finish, parser, wait_for
from tinyvm import TinyVm

from pykvm import Exit, LevelLine, MmioRead, MmioWrite

INTID = 43


class Device:
    def __init__(self, tiny: TinyVm) -> None:
        self.work = 0
        self.lock = threading.Lock()  # work comes from the loop and goes from the vCPU's thread
        self.tiny = tiny
        self.line = LevelLine(tiny.vm.irqfd(intid=INTID, resample=True), lambda: self.work > 0)

    def submit(self) -> None:
        with self.lock:
            self.work += 1
        self.line.update()

    def answer(self, exit: Exit) -> None:
        """The guest's handler asks how much there is, and takes one piece of it."""
        match exit:
            case MmioRead(gpa) if gpa == layout.device_status_gpa(INTID):
                self.tiny.vcpus[0].mmio_reply(self.work)
            case MmioWrite(layout.DEVICE_ACK_GPA):
                with self.lock:
                    self.work -= 1
            case other:
                raise SystemExit(f"the guest does what nobody expects: {other}")


async def main() -> int:
    options = parser(__doc__).parse_args()
    with TinyVm("spi", gic=options.gic) as tiny:
        words = guest_arguments.spi(
            gic_version=tiny.gic_version, first_intid=INTID, trigger="level", ack_device=True,
            read_status=True,
        )  # fmt: skip
        tiny.set_registers(words)
        device = Device(tiny)
        with tiny.running(device.answer):
            hearing = asyncio.create_task(device.line.serve())
            with suppress(TimeoutError):  # what is left then counts as lost
                async with asyncio.timeout(30 + options.count):
                    for _ in range(options.count):
                        device.submit()
                        await asyncio.sleep(random.choice((0, 0, 0.002)))  # noqa: S311
                    while device.line.ends < options.count:
                        await asyncio.sleep(0.01)
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
            wait_for(lambda: tiny.report.ended(INTID), device.line.ends, 30)
        report = tiny.report
        tally = Tally("asyncio_device", tiny.gic_name, sent=options.count)
        tally.taken, tally.ended = report.taken(INTID), report.ended(INTID)
        tally.resampled, tally.lost = device.line.ends, device.work
        tally.spurious = report.spurious
    return tally.tell(options.json)


if __name__ == "__main__":
    finish(lambda: asyncio.run(main()))
