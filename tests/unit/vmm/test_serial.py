# SPDX-License-Identifier: Apache-2.0
"""Serial ports, clock and bus, driven as a guest drives them."""

from __future__ import annotations

import threading

import pytest
from minivmm import pl011
from minivmm.bus import ELSEWHERE, Unclaimed
from minivmm.endings import BadInput
from minivmm.pl011 import DR, FR, ICR, ID, IMSC, MIS, RIS, Pl011
from minivmm.pl031 import Pl031
from minivmm.uart16550 import Reg, Uart16550

from tests.unit.vmm.accesses import Accesses
from tests.unit.vmm.fakes import FakeLevel


def make() -> tuple[Pl011, FakeLevel, bytearray]:
    line, sent = FakeLevel(), bytearray()
    return Pl011(line, sent.extend), line, sent


def test_output_goes_out_at_once_and_asks_for_more() -> None:
    uart, line, sent = make()
    for byte in b"hi":
        uart.write(DR, 4, byte)
    assert sent == b"hi"
    assert not line.level
    uart.write(IMSC, 4, 1 << 5)
    assert line.level
    uart.write(ICR, 4, 1 << 5)
    assert not line.level


def test_input_keeps_the_line_up_until_it_is_taken() -> None:
    uart, line, _ = make()
    uart.write(IMSC, 4, 1 << 4)
    assert uart.read(FR, 4) & 1 << 4
    uart.receive(b"ab")
    assert line.level
    assert uart.read(MIS, 4) == 1 << 4
    assert uart.read(RIS, 4) & 1 << 4
    assert [uart.read(DR, 4) for _ in range(3)] == [ord("a"), ord("b"), 0]
    assert not line.level
    assert uart.read(FR, 4) & 1 << 4


def test_room_shrinks_and_more_is_asked_for() -> None:
    asked: list[int] = []
    uart = Pl011(FakeLevel(), lambda _: None, lambda: asked.append(1))
    uart.receive(bytes(uart.room))
    assert uart.room == 0
    assert uart.read(FR, 4) & 1 << 6
    while not uart.room or not asked:
        uart.read(DR, 4)
    assert uart.room == 32


def test_linux_recognises_it() -> None:
    uart, _, _ = make()
    found = [uart.read(ID + 4 * number, 4) for number in range(8)]
    assert found[0] | found[1] << 8 | found[2] << 16 == 0x341011
    assert bytes(found[4:]) == b"\x0d\xf0\x05\xb1"


def test_registers_keep_only_their_bits() -> None:
    uart, _, _ = make()
    uart.write(pl011.FBRD, 4, 0xFFFF_FFFF)
    assert uart.read(pl011.FBRD, 4) == 0x3F
    assert uart.read(0x800, 8) == 0


def test_the_bus_finds_who_is_meant() -> None:
    accesses = Accesses()
    uart, _, sent = make()
    accesses.bus.add("one", 0x1000, 0x200, uart)
    accesses.bus.add("two", 0x1200, 0x200, Pl011(FakeLevel(), lambda _: None))
    accesses.store(0x1000, 1, ord("x"))
    accesses.store(0x1200, 1, ord("y"))
    assert accesses.load(0x1018, 1) == 0x90
    assert accesses.load(0x3000, 4) == 0
    uart.flush()
    assert sent == b"x"
    accesses.store(0x11FC, 8, 5)  # across the end: nobody's
    assert accesses.bus.accesses == {("load", 0x3000): 1, ("store", 0x11FC): 1}


def test_what_is_printed_waits_for_whoever_sends_it() -> None:
    accesses = Accesses()
    uart, _, sent = make()
    accesses.bus.add("uart", 0x1000, 0x1000, uart)
    for letter in b"one\n":
        accesses.store(0x1000, 4, letter)
    assert uart.printed.bell.read() == 1
    uart.catch_up()
    assert sent == b"one\n"
    accesses.store(0x1000, 4, ord("x"))
    assert uart.printed.bell.read() == 1
    assert accesses.load(0x1000 + RIS, 4) == 1 << 5, "the store came before"
    assert sent == b"one\n"
    uart.catch_up()
    assert sent == b"one\nx"


def test_whoever_prints_without_end_sends_it_himself() -> None:
    accesses = Accesses()
    uart, _, sent = make()
    accesses.bus.add("uart", 0x1000, 0x1000, uart)
    said = bytes(range(32, 127)) * 100
    for letter in said:
        accesses.store(0x1000, 1, letter)
    assert len(said) - len(sent) < 5000
    uart.catch_up()
    assert sent == said


def test_flags_follow_the_input_without_python() -> None:
    accesses = Accesses()
    uart, _, _ = make()
    accesses.bus.add("uart", 0x1000, 0x1000, uart)
    assert accesses.load(0x1000 + FR, 4) == 0x90
    uart.receive(b"x" * 32)
    assert accesses.load(0x1000 + FR, 2) == 0xC0
    assert accesses.load(0x1000, 4) == ord("x")
    accesses.store(0x1000 + FR, 4, 0)
    assert accesses.load(0x1000 + FR, 4) == 0x80
    for _ in range(31):
        accesses.load(0x1000, 1)
    assert accesses.load(0x1000 + FR, 4) == 0x90


def test_so_do_the_16550s() -> None:
    accesses = Accesses()
    uart, _, sent = make_16550()
    accesses.bus.add("uart", 0x1000, 0x1000, uart)
    assert accesses.load(0x1005, 1) == 0x60
    uart.receive(b"x")
    assert accesses.load(0x1005, 1) == 0x61
    assert accesses.load(0x1000, 1) == ord("x")
    assert accesses.load(0x1005, 1) == 0x60
    accesses.store(0x1007, 1, 0x5A)
    assert accesses.load(0x1007, 1) == 0x5A
    accesses.store(0x1000, 1, ord("y"))
    assert sent == b"y"


def test_accesses_are_counted_by_who_is_meant() -> None:
    accesses = Accesses(counting=True)
    accesses.bus.add("uart", 0x1000, 0x200, make()[0])
    accesses.bus.keep_clear("memory", 0x4000, 0x1000)
    for _ in range(3):
        accesses.store(0x1000, 1, ord("x"))
    assert accesses.load(0x1018, 2) == 0x90
    accesses.load(0x3000, 4)
    counted = accesses.bus.accesses
    assert counted == {("store", 0x1000): 3, ("load", 0x1018): 1, ("load", 0x3000): 1}
    names = [accesses.bus.name(gpa) for _, gpa in counted]
    assert names == ["uart +0x0", "uart +0x18", "0x3000, nothing there"]


def test_a_sweep_over_all_addresses_is_counted_in_little_memory() -> None:
    accesses = Accesses()
    for number in range(3000):
        accesses.load(number * 8, 8)
    assert len(accesses.bus.accesses) <= 1001
    assert accesses.bus.accesses.total() == 3000
    assert accesses.bus.name(ELSEWHERE) == "elsewhere"


def test_strict_and_overlap() -> None:
    accesses = Accesses(strict=True)
    accesses.bus.add("uart", 0x1000, 0x1000, make()[0])
    with pytest.raises(Unclaimed, match="load of 4 at 0x2000"):
        accesses.load(0x2000, 4)
    with pytest.raises(BadInput, match="other at 0x1f00 overlaps uart at 0x1000"):
        accesses.bus.add("other", 0x1F00, 0x1000, make()[0])


@pytest.mark.parametrize("counting", [False, True])
def test_strict_minds_no_access_inside_of_a_device(counting: bool) -> None:
    """Also across registers that are served without Python, and those that are not."""
    accesses = Accesses(strict=True, counting=counting)
    accesses.bus.add("uart", 0x1000, 0x1000, make()[0])
    for offset in (0, FR - 4, FR, 0xFF8):
        accesses.load(0x1000 + offset, 8)
        accesses.store(0x1000 + offset, 8, 0)
    with pytest.raises(Unclaimed):
        accesses.load(0x1FFC, 8)


def make_16550() -> tuple[Uart16550, FakeLevel, bytearray]:
    line, sent = FakeLevel(), bytearray()
    return Uart16550(line, sent.extend), line, sent


def test_the_16550_is_found_by_a_driver_that_probes() -> None:
    uart, _, _ = make_16550()
    uart.write(Reg.SCRATCH, 1, 0x5A)
    assert uart.read(Reg.SCRATCH, 1) == 0x5A
    uart.write(Reg.FCR, 1, 1)
    assert uart.read(Reg.IIR, 1) == 0xC1
    uart.write(Reg.MCR, 1, 0x1A)
    assert uart.read(Reg.MSR, 1) == 0x90
    uart.write(Reg.LCR, 1, 0x80)
    uart.write(0, 1, 0x12)
    assert uart.read(0, 1) == 0x12
    uart.write(Reg.LCR, 1, 3)
    assert uart.read(0, 1) == 0


def test_the_16550_sends_and_says_when_it_has() -> None:
    uart, line, sent = make_16550()
    uart.write(Reg.IER, 1, 2)
    assert line.level
    assert uart.read(Reg.IIR, 1) == 2
    assert not line.level
    uart.write(Reg.DATA, 1, ord("x"))
    assert sent == b"x"
    assert line.level
    assert uart.read(Reg.LSR, 1) == 0x60


def test_the_16550_takes_input() -> None:
    uart, line, _ = make_16550()
    uart.write(Reg.IER, 1, 1)
    uart.receive(b"ab")
    assert line.level
    assert uart.read(Reg.IIR, 1) == 4
    assert [uart.read(Reg.DATA, 1), uart.read(Reg.LSR, 1) & 1] == [ord("a"), 1]
    assert [uart.read(Reg.DATA, 1), uart.read(Reg.LSR, 1) & 1] == [ord("b"), 0]
    assert not line.level
    assert uart.room == 16


def test_looped_back_output_is_input_up_to_what_fits() -> None:
    uart, _, sent = make_16550()
    uart.write(Reg.MCR, 1, 0x10)
    for _ in range(100):
        uart.write(Reg.DATA, 1, 0x55)
    assert not sent
    assert uart.room == 0


def test_the_clock_tells_the_time_and_takes_another() -> None:
    now = 1_700_000_000.5
    clock = Pl031(FakeLevel(), now=lambda: now)
    assert clock.read(0x00, 4) == 1_700_000_000
    clock.write(0x08, 4, 5)
    now += 2
    assert clock.read(0x00, 4) == 7
    assert clock.read(0x0C, 4) == 1
    assert clock.read(0xFE0, 4) == 0x31


def test_the_alarm_comes_when_it_is_time() -> None:
    asked: list[float | None] = []
    line = FakeLevel()
    clock = Pl031(line, asked.append, now=lambda: 1000)
    clock.write(0x10, 4, 1)
    clock.write(0x04, 4, 1010)
    assert asked == [10]
    assert not line.level
    clock.ring()
    assert line.level
    assert (clock.read(0x14, 4), clock.read(0x18, 4)) == (1, 1)
    clock.write(0x1C, 4, 1)
    assert not line.level
    clock.write(0x04, 4, 999)
    assert asked == [10, None]
    clock.write(0x04, 4, 1000)
    assert line.level


def test_the_16550_asks_for_more_input_once_a_driver_has_thrown_it_away() -> None:
    asked: list[int] = []
    uart = Uart16550(FakeLevel(), lambda _: None, lambda: asked.append(1))
    uart.receive(bytes(uart.room))
    assert not asked
    uart.write(Reg.FCR, 1, 7)
    assert (uart.room, asked) == (16, [1])
    uart.write(Reg.FCR, 1, 7)
    assert asked == [1]


def test_the_16550_takes_input_while_nobody_reads_what_it_prints() -> None:
    sending, go_on = threading.Event(), threading.Event()

    def send(_: object) -> None:
        sending.set()
        go_on.wait(20)

    uart = Uart16550(FakeLevel(), send)
    cpu = threading.Thread(target=uart.write, args=(Reg.DATA, 1, ord("x")))
    cpu.start()
    assert sending.wait(20)
    keyboard = threading.Thread(target=uart.receive, args=(b"a",))
    keyboard.start()
    keyboard.join(5)
    held_up = keyboard.is_alive()
    go_on.set()
    cpu.join()
    keyboard.join()
    assert not held_up


def test_the_16550_has_no_bits_of_its_successors() -> None:
    """Linux's probing takes one that keeps bit 6 of IER for an XScale's."""
    uart, _, _ = make_16550()
    uart.write(Reg.IER, 1, 0xF0)
    uart.write(Reg.MCR, 1, 0xE0)
    assert (uart.read(Reg.IER, 1), uart.read(Reg.MCR, 1)) == (0, 0)
