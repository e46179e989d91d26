#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots an arm64 Linux as distributions ship it: the life of a VM, from top to bottom.

The rooms are in ``minivmm/``. A reset ends one life and begins the next, with a VM made anew: so
nothing of the old one is left, and nothing has to be put back.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack, suppress

from minivmm import devicetree, gic, image, layout, options
from minivmm.bootfile import BootFile
from minivmm.bus import Bus
from minivmm.cpus import Cpus
from minivmm.devicetree import Board
from minivmm.endings import BadInput, Ending, Outcome, Signals
from minivmm.events import EventLoop, LoopThread
from minivmm.lines import LevelIrqfd
from minivmm.pl011 import Pl011
from minivmm.pl031 import Pl031
from minivmm.ram import Ram
from minivmm.stats import Stats, seconds_since_start, tell_stages
from minivmm.terminal import open_missing
from minivmm.uart16550 import Uart16550
from minivmm.vfio import lostends
from minivmm.virtio.attach import Slots
from minivmm.virtio.wanted import Backends, attach_all

from pykvm import GuestMemory, Kvm, KvmError, VcpuFeature

#: Seconds from the start of the process to here.
STARTED = seconds_since_start()
#: ``--stats`` for which Python sees each access.
COUNTED = ("end", "live")
UARTS: dict[str, type[Pl011 | Uart16550]] = {"pl011": Pl011, "16550": Uart16550}


def main(given: argparse.Namespace | None = None) -> int:
    open_missing()
    try:
        given = given or options.parse()
        notes: list[str] = []
        with ExitStack() as undo:
            undo.callback(tell, notes)  # once the terminal is as it was before
            signals = Signals()  # before the terminal is changed: they put it back
            backends = Backends(given, undo)
            while True:
                outcome = live(given, backends, signals)
                notes += outcome.notes
                if outcome.ending is Ending.CRASH:  # told even where a disk has the last word
                    notes.append(outcome.why)
                if outcome.ending is not Ending.RESET or given.no_reboot:
                    break
    except (BadInput, KvmError) as refusal:
        outcome = Outcome()
        outcome.end(Ending.BAD_INPUT, str(refusal))
    if outcome.ending is Ending.BAD_INPUT:
        tell([outcome.why])
    assert outcome.ending is not None
    return outcome.ending.value


def tell(notes: list[str]) -> None:
    for note in notes:
        with suppress(OSError):  # nobody reads it any more
            print("boot_linux:", note.replace("\n", " "), file=sys.stderr)


def live(given: argparse.Namespace, backends: Backends, signals: Signals) -> Outcome:
    """One life, from power-on to power-off or reset."""
    kernel = image.load_kernel(given.kernel, flat=given.flat)
    initrd = BootFile(given.initrd) if given.initrd else None
    with ExitStack() as undo:
        terminal = backends.terminal
        loop = EventLoop()
        undo.callback(loop.close)
        outcome = Outcome(loop.stop, terminal.let_go)
        terminal.hold_on()
        undo.callback(signals.end, None)
        signals.end(outcome)
        kvm = undo.enter_context(Kvm())
        bits = (layout.RAM + given.memory - 1).bit_length()
        vm = undo.enter_context(kvm.create_vm(ipa_bits=bits if bits > 40 else 0))

        # 1. Memory, and what lies in it at the start.
        memory = guest_memory(given.memory)
        undo.callback(memory.close)
        undo.callback(vm.close)  # whose slot lets go of the memory first
        vm.add_memory(layout.RAM, memory)
        ram = Ram(layout.RAM, memory)
        undo.callback(ram.close)
        placed = image.place(ram, kernel, initrd)

        # 2. CPUs, all of them before the interrupt controller, which serves so many and no more.
        controller = gic.choose(vm, given.gic, given.cpus)
        way = lostends.around(kvm, vm, controller, given.gic, given.device)
        controller = way.controller
        if way.note:
            outcome.notes.append(way.note)
        cpus = Cpus(vm, given.cpus, given.features, has_mte=given.mte)

        # 3. The interrupt controller; lines can be bound to it from here on.
        gic.make(vm, controller)
        has_pmu = VcpuFeature.PMU_V3 in given.features
        if has_pmu:
            cpus.init_pmus()

        # 4. Devices: each gets its line, and its place on the bus.
        bus = Bus(vm, strict=given.strict, counting=given.stats in COUNTED)
        for claimed in (("memory", ram.start, ram.size), *controller.frames):
            bus.keep_clear(*claimed)
        uart_line = LevelIrqfd(vm, layout.UART_INTID, loop)
        uart = UARTS[given.uart](uart_line, terminal.send, terminal.more)
        bus.add("UART", given.uart_address, layout.UART_SIZE, uart)
        if isinstance(uart, Pl011):  # whose characters wait for somebody to send them
            undo.callback(uart.printed.bell.close)
            undo.callback(uart.catch_up)
            printer = LoopThread("console", outcome.fail)
            undo.callback(printer.close)
            printer.loop.watch(uart.printed.bell, uart.catch_up)
            printer.start()
        rtc_line = LevelIrqfd(vm, layout.RTC_INTID, loop)
        rtc = Pl031(rtc_line, lambda seconds: loop.call_later(seconds, rtc.ring))
        bus.add("RTC", layout.RTC, layout.RTC_SIZE, rtc)
        assigned = []
        if way.wanted:
            from minivmm.vfio.assign import assign  # not loaded for guests without such devices

            assigned = assign(way.wanted, vm, bus, ram, undo)
        slots = Slots(vm, bus, ram)
        undo.callback(slots.close, outcome)
        console = attach_all(given, backends, slots, ram, loop, outcome, undo)
        terminal.connect(console or uart, loop, quit=lambda: outcome.end(Ending.QUIT))

        # 5. The device tree tells the guest of all this.
        tree = devicetree.build(
            Board(
                ram=range(ram.start, ram.end),
                affinities=cpus.affinities,
                gic=controller,
                uart=given.uart,
                uart_address=given.uart_address,
                has_pmu=has_pmu,
                virtio_slots=slots.used,
                assigned=assigned,
                command_line=given.append,
                initrd=placed.initrd,
                seed=os.urandom(64),
            )
        )
        image.put_tree(ram, placed, tree)
        if given.dtb_dump:
            image.dump(given.dtb_dump, tree)

        # 6. It runs: vCPUs in their threads, everything else here.
        if given.stats:
            reached = {"Python and imports": STARTED, "set-up": seconds_since_start()}
            undo.callback(tell_stages, reached)
        if given.stats in COUNTED:
            lines = {"UART": uart_line.line, "RTC": rtc_line.line}
            stats = Stats(bus, slots.transports, lines, assigned)
            undo.callback(stats.close)
            if given.stats == "live":
                stats.show_live()
        undo.callback(cpus.stop)
        undo.callback(terminal.let_go)  # first of all, also after a failure here
        cpus.start(placed.entry, placed.tree, bus, loop, outcome)
        loop.run()

    if outcome.failure:
        raise outcome.failure
    return outcome


def guest_memory(size: int) -> GuestMemory:
    """In huge pages, where the host has them: a guest that boots touches all over its memory."""
    try:
        return GuestMemory(size, huge_pages=True)
    except KvmError:
        return GuestMemory(size)


if __name__ == "__main__":
    sys.exit(main())
