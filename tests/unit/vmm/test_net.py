# SPDX-License-Identifier: Apache-2.0
"""The network card, on a pair of sockets that pass packets as a tap does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest
from minivmm.endings import BadInput
from minivmm.events import EventLoop
from minivmm.virtio.net import (
    CSUM,
    GUEST_CSUM,
    GUEST_TSO4,
    HOST_TSO4,
    MAC,
    MRG_RXBUF,
    RECEIVE,
    TRANSMIT,
    Net,
)
from minivmm.virtio.tap import HEADER, Tap
from minivmm.virtio.transport import NEEDS_RESET, Reg

from tests.unit.vmm.driver import WRITE, Driver
from tests.unit.vmm.fakes import FakeTap

ADDRESS = bytes((2, 0, 0, 0, 0, 1))


@pytest.fixture
def tap() -> Iterator[FakeTap]:
    made = FakeTap()
    yield made
    made.close()


@pytest.fixture
def driver(tap: FakeTap) -> Iterator[Driver]:
    loop = EventLoop()
    made = Driver(Net(tap, ADDRESS, loop))
    made.set_up(MAC | CSUM | GUEST_CSUM | GUEST_TSO4)
    yield made
    made.set(Reg.STATUS, 0)
    loop.close()


def test_it_has_an_address_and_offers_what_a_tap_does(driver: Driver, tap: FakeTap) -> None:
    assert driver.transport.read(Reg.CONFIG, 4) == int.from_bytes(ADDRESS[:4], "little")
    assert driver.offered() & HOST_TSO4
    assert not driver.offered() & MRG_RXBUF
    assert tap.offloads == 1 | 2


def test_what_is_sent_goes_out_as_one_packet(driver: Driver, tap: FakeTap) -> None:
    driver.request(TRANSMIT, [bytes(HEADER), b"frame ", b"in parts"], [])
    assert tap.wire.recv(100) == bytes(HEADER) + b"frame in parts"


def test_packets_wait_for_buffers_and_buffers_for_packets(driver: Driver, tap: FakeTap) -> None:
    tap.wire.send(bytes(HEADER) + b"early")
    driver.transport.notified(RECEIVE)
    written, (data,) = driver.request(RECEIVE, [], [200])
    assert written == HEADER + 5
    assert data[:written] == bytes(10) + b"\1\0early"

    table, _, used = driver.rings(RECEIVE)
    driver.describe(table, 1, *driver.buffer(200), WRITE, 0)
    driver.offer(RECEIVE, 1)
    driver.set(Reg.QUEUE_NOTIFY, RECEIVE)
    assert driver.peek(used + 2, "<H") == (1,)
    tap.wire.send(bytes(HEADER) + b"late")
    driver.transport.notified(RECEIVE)  # as the loop does when the tap is readable
    assert driver.peek(used + 2, "<H") == (2,)
    assert driver.peek(used + 4 + 8, "<II") == (1, HEADER + 4)


@pytest.mark.parametrize("room", [[10, 90], [4, 7, 89], [11, 0, 1, 88]])
def test_the_guest_may_cut_the_header_of_what_it_receives(
    driver: Driver, tap: FakeTap, room: list[int]
) -> None:
    tap.wire.send(bytes(10) + b"\xff\xff" + b"packet")
    written, parts = driver.request(RECEIVE, [], room)
    assert written == HEADER + 6
    assert b"".join(parts)[:written] == bytes(10) + b"\1\0packet"


def test_a_packet_that_nobody_can_take_is_lost_and_nothing_else(
    driver: Driver, tap: FakeTap
) -> None:
    tap.wire.close()
    driver.request(TRANSMIT, [bytes(HEADER), b"x"], [])
    driver.request(TRANSMIT, [], [4])
    assert not driver.get(Reg.STATUS) & NEEDS_RESET


def test_a_buffer_that_cannot_be_written_breaks_the_device(driver: Driver) -> None:
    driver.describe(driver.rings(RECEIVE)[0], 0, *driver.buffer(100), 0, 0)
    driver.offer(RECEIVE, 0)
    driver.set(Reg.QUEUE_NOTIFY, RECEIVE)
    assert driver.get(Reg.STATUS) & NEEDS_RESET


@pytest.mark.parametrize("name", ["", "x" * 16])
def test_names_of_interfaces_are_short(name: str) -> None:
    with pytest.raises(BadInput, match="1 to 15"):
        Tap(name)


def test_it_can_end_after_the_loop_in_which_it_waits_for_packets(tap: FakeTap) -> None:
    loop = EventLoop()
    driver = Driver(Net(tap, ADDRESS, loop))
    driver.set_up()
    driver.describe(driver.rings(RECEIVE)[0], 0, *driver.buffer(200), WRITE, 0)
    driver.offer(RECEIVE, 0)
    driver.set(Reg.QUEUE_NOTIFY, RECEIVE)
    loop.close()
    driver.transport.device.close()


@pytest.mark.parametrize("why", ["broken", "queue taken away", "tap gone"])
def test_packets_that_nobody_takes_let_the_loop_sleep(
    monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def gone(*_: object) -> int:
        raise OSError(errno.EBADFD, "the interface was deleted")

    tap, loop = FakeTap(), EventLoop()
    driver = Driver(Net(tap, ADDRESS, loop))
    turns = [0]

    def poke(index: int) -> None:
        turns[0] += 1
        driver.transport.notified(index)

    driver.set_up()
    driver.transport.device.poke = poke
    driver.describe(driver.rings(RECEIVE)[0], 0, *driver.buffer(200), WRITE, 0)
    driver.offer(RECEIVE, 0)
    driver.set(Reg.QUEUE_NOTIFY, RECEIVE)  # which waits for a packet
    if why == "broken":
        driver.describe(driver.rings(TRANSMIT)[0], 0, 0, 16, 0, 0)
        driver.offer(TRANSMIT, 0)
        driver.set(Reg.QUEUE_NOTIFY, TRANSMIT)
        assert driver.get(Reg.STATUS) & NEEDS_RESET
    elif why == "queue taken away":
        driver.set(Reg.QUEUE_SEL, RECEIVE)
        driver.set(Reg.QUEUE_READY, 0)
    else:
        monkeypatch.setattr(os, "readv", gone)
    tap.wire.send(bytes(HEADER) + b"packet")
    loop.call_later(0.2, loop.stop)
    loop.run()
    assert turns[0] < 5
    driver.set(Reg.STATUS, 0)
    loop.close()
    tap.close()
