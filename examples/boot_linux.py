#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots an arm64 Linux as distributions ship it: the life of a VM, from top to bottom.

The rooms are in ``minivmm/``. A reset ends one life and begins the next, with a VM made anew: so
nothing of the old one is left, and nothing has to be put back.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import ExitStack

from minivmm import devicetree, gic, image, layout, options
from minivmm.bus import Bus
from minivmm.cpus import Cpus
from minivmm.devicetree import Board
from minivmm.endings import BadInput, Ending, Outcome
from minivmm.events import EventLoop
from minivmm.lines import LevelIrqfd
from minivmm.pl011 import Pl011
from minivmm.ram import Ram
from minivmm.terminal import Terminal

from pykvm import GuestMemory, Kvm, KvmError


def main() -> int:
    try:
        given = options.parse()
        kernel = image.load_kernel(given.kernel, flat=given.flat)
        initrd = image.load_initrd(given.initrd) if given.initrd else None
        ending = Ending.RESET
        with Terminal() as terminal:
            while ending is Ending.RESET:
                ending = live(given, kernel, initrd, terminal)
                if given.no_reboot:
                    break
    except BadInput as what:
        print(f"boot_linux: {what}", file=sys.stderr)
        return Ending.BAD_INPUT.value
    except KvmError as refusal:
        print(f"boot_linux: {refusal}", file=sys.stderr)
        return Ending.BAD_INPUT.value
    return ending.value


def live(
    given: argparse.Namespace, kernel: image.Kernel, initrd: bytes | None, terminal: Terminal
) -> Ending:
    """One life, from power-on to power-off or reset."""
    with ExitStack() as undo:
        loop = EventLoop()
        undo.callback(loop.close)
        outcome = Outcome(loop.stop)
        kvm = undo.enter_context(Kvm())
        vm = undo.enter_context(kvm.create_vm())

        # 1. Memory, and what lies in it at the start.
        memory = GuestMemory(given.memory)
        vm.add_memory(layout.RAM, memory)
        ram = Ram(layout.RAM, memory.view())
        undo.callback(ram.close)
        placed = image.place(ram, kernel, initrd)

        # 2. CPUs, all of them before the GIC.
        cpus = Cpus(vm, given.cpus)

        # 3. The interrupt controller; lines can be bound to it from here on.
        controller = gic.choose(vm, given.gic, len(cpus))
        gic.make(vm, controller)

        # 4. Devices: each gets its line, and its place on the bus.
        bus = Bus(strict=given.strict)
        line = LevelIrqfd(vm, layout.UART_INTID, loop)
        uart = Pl011(line, terminal.send, terminal.more)
        bus.add("UART", given.uart_address, layout.UART_SIZE, uart)
        terminal.connect(uart, loop, quit=lambda: outcome.end(Ending.QUIT))

        # 5. The device tree tells the guest of all this.
        tree = devicetree.build(
            Board(
                ram=range(ram.start, ram.end),
                affinities=cpus.affinities,
                gic=controller,
                uart=given.uart,
                uart_address=given.uart_address,
                command_line=given.append,
                initrd=placed.initrd,
                seed=os.urandom(64),
            )
        )
        image.put_tree(ram, placed, tree)
        if given.dtb_dump:
            given.dtb_dump.write_bytes(tree)

        # 6. It runs: vCPUs in their threads, everything else here.
        signal.signal(signal.SIGTERM, lambda *_: outcome.end(Ending.TERMINATED))
        undo.callback(cpus.stop)
        cpus.start(placed.entry, placed.tree, bus, outcome)
        loop.run()

    if outcome.failure:
        raise outcome.failure
    if outcome.ending is Ending.CRASH:
        print(f"boot_linux: {outcome.why}", file=sys.stderr)
    assert outcome.ending is not None
    return outcome.ending


if __name__ == "__main__":
    sys.exit(main())
