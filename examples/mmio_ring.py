#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""As hello_mmio, but the guest does not wait for Python at each character.

They wait in a ring, while the guest goes on; Python takes many at once. The vCPU runs in a thread
of its own, which a coroutine awaits like anything else.
"""

from __future__ import annotations

import asyncio

from guests import arguments as guest_arguments
from guests import layout
from tally import Tally, finish, parser
from tinyvm import TinyVm

from pykvm import SystemEvent, SystemEventType, VcpuThread


async def main() -> int:
    options = parser(__doc__).parse_args()
    text = "".join(f"Hello from EL1, line {n + 1}\n" for n in range(options.count)).encode()
    heard = bytearray()
    with TinyVm("hello", gic=options.gic) as tiny:
        if len(text) > layout.SCRATCH_SIZE:
            raise SystemExit("--count: the message does not fit into the guest's memory")
        tiny.memory.write(layout.SCRATCH_GPA - layout.RAM_GPA, text)
        tiny.set_registers(
            guest_arguments.hello(message_gpa=layout.SCRATCH_GPA, message_size=len(text))
        )
        tiny.vm.mmio_ring(layout.CONSOLE_GPA, 1, lambda offset, size, value: heard.append(value))
        with VcpuThread(tiny.vcpus[0]) as thread:
            end = await thread  # what the ring held has been handed on by then
        tally = Tally("mmio_ring", tiny.gic_name)
    if options.json:
        tally.tell(as_json=True)
    else:
        print(heard.decode(), end="")
    switched_off = isinstance(end, SystemEvent) and end.type == SystemEventType.SHUTDOWN
    return 0 if heard == text and switched_off else 1


if __name__ == "__main__":
    finish(lambda: asyncio.run(main()))
