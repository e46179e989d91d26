#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The smallest guest that says something: each character is a store to an address without memory.

Such a store leaves the guest; run() returns it as an MmioWrite.
"""

from __future__ import annotations

from guests import arguments as guest_arguments
from guests import layout
from tally import Tally, finish, parser
from tinyvm import TinyVm

from pykvm import Exit, MmioWrite, SystemEvent, SystemEventType


def main() -> int:
    options = parser(__doc__).parse_args()
    message = "".join(f"Hello from EL1, line {n + 1}\n" for n in range(options.count))
    text = message.encode()
    heard = bytearray()

    def console(exit: Exit) -> None:
        match exit:
            case MmioWrite(gpa=layout.CONSOLE_GPA, data=data):
                heard.extend(data)
            case other:
                raise SystemExit(f"the guest does what nobody expects: {other}")

    with TinyVm("hello", gic=options.gic) as tiny:
        if len(text) > layout.SCRATCH_SIZE:
            raise SystemExit("--count: the message does not fit into the guest's memory")
        tiny.memory.write(layout.SCRATCH_GPA - layout.RAM_GPA, text)
        tiny.set_registers(
            guest_arguments.hello(message_gpa=layout.SCRATCH_GPA, message_size=len(text))
        )
        end = tiny.run(console)
        tally = Tally("hello_mmio", tiny.gic_name)
    if options.json:
        tally.tell(as_json=True)
    else:
        print(heard.decode(), end="")
    switched_off = isinstance(end, SystemEvent) and end.type == SystemEventType.SHUTDOWN
    return 0 if heard == text and switched_off else 1


if __name__ == "__main__":
    finish(main)
