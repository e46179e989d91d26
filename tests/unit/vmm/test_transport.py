# SPDX-License-Identifier: Apache-2.0
"""Virtio's registers and queues: what the standard asks of a device."""

from __future__ import annotations

import pytest
from minivmm.virtio.console import RECEIVE, TRANSMIT, Console
from minivmm.virtio.queue import Chain
from minivmm.virtio.rng import Rng
from minivmm.virtio.transport import (
    CONFIG_CHANGE,
    DRIVER_OK,
    EVENT_IDX,
    FEATURES_OK,
    INDIRECT_DESC,
    NEEDS_RESET,
    VERSION_1,
    Reg,
)

from tests.unit.vmm.driver import INDIRECT, NEXT, START, WRITE, Driver


def test_it_introduces_itself() -> None:
    driver = Driver(Rng())
    read = [driver.get(offset) for offset in (Reg.MAGIC, Reg.VERSION, Reg.DEVICE_ID)]
    assert read == [0x7472_6976, 2, 4]
    assert driver.offered() == INDIRECT_DESC | EVENT_IDX | VERSION_1
    assert driver.get(Reg.SHM_LEN_LOW) == 0xFFFF_FFFF
    assert driver.get(0x1F0) == 0
    assert driver.transport.read(Reg.MAGIC, 1) == 0  # registers are words


def test_queues_tell_their_size_and_others_that_they_are_not() -> None:
    driver = Driver(Console(lambda _: None))
    told = []
    for index in (0, 1, 2, 0xFFFF_FFFF):
        driver.set(Reg.QUEUE_SEL, index)
        told.append(driver.get(Reg.QUEUE_NUM_MAX))
    assert told == [64, 64, 0, 0]


@pytest.mark.parametrize(
    ("features", "agreed"),
    [
        (VERSION_1, True),
        (VERSION_1 | EVENT_IDX | INDIRECT_DESC, True),
        (0, False),
        (EVENT_IDX, False),
        (VERSION_1 | 1 << 34, False),
        (VERSION_1 | 1, False),
    ],
)
def test_features_are_agreed_on_only_as_offered_and_modern(features: int, agreed: bool) -> None:
    assert Driver(Rng()).negotiate(features) is agreed


def test_features_are_fixed_once_agreed() -> None:
    driver = Driver(Rng())
    driver.set_up(EVENT_IDX)
    driver.set(Reg.DRIVER_FEATURES_SEL, 0)
    driver.set(Reg.DRIVER_FEATURES, 0xFFFF_FFFF)
    written, (data,) = driver.request(0, [], [32])
    assert written == 32
    assert data != bytes(32)


@pytest.mark.parametrize("indirect", [False, True])
@pytest.mark.parametrize("features", [0, EVENT_IDX], ids=["flags", "event-index"])
def test_a_request_comes_back_with_an_interrupt(features: int, indirect: bool) -> None:
    driver = Driver(Rng())
    driver.set_up(features | INDIRECT_DESC)
    for number in range(1, 70):  # several times around the ring
        _, avail, _ = driver.rings(0)
        driver.poke(avail + 4 + 2 * driver.size, "<H", number - 1)  # tell me of the next one
        written, parts = driver.request(0, [], [5, 11], indirect=indirect)
        assert written == 16
        assert all(any(part) for part in parts) or number > 3  # chance of zeros: 2**-40
        assert driver.line.signals == number


def test_interrupts_come_only_as_wanted() -> None:
    driver = Driver(Rng())
    driver.set_up()
    _, avail, _ = driver.rings(0)
    driver.poke(avail, "<H", 1)
    driver.request(0, [], [4])
    assert driver.line.signals == 0

    driver = Driver(Rng())
    driver.set_up(EVENT_IDX)
    _, avail, _ = driver.rings(0)
    driver.poke(avail + 4 + 2 * driver.size, "<H", 2)  # the third one
    for signals in (0, 0, 1, 1):
        driver.request(0, [], [4])
        assert driver.line.signals == signals


def test_interrupt_status_tells_of_buffers_always_and_of_changes_until_acknowledged() -> None:
    driver = Driver(Rng())
    driver.set_up()
    assert driver.get(Reg.INTERRUPT_STATUS) == 1
    driver.set(Reg.INTERRUPT_ACK, 1)
    assert driver.get(Reg.INTERRUPT_STATUS) == 1
    driver.transport.config_changed()
    assert (driver.get(Reg.INTERRUPT_STATUS), driver.get(Reg.CONFIG_GENERATION)) == (3, 1)
    driver.set(Reg.INTERRUPT_ACK, 3)
    assert driver.get(Reg.INTERRUPT_STATUS) == 1


def test_reset_forgets_all() -> None:
    driver = Driver(Rng())
    driver.set_up()
    driver.set(Reg.STATUS, 0)
    assert driver.get(Reg.STATUS) == 0
    driver.set(Reg.QUEUE_SEL, 0)
    assert driver.get(Reg.QUEUE_READY) == 0
    driver.set(Reg.QUEUE_NOTIFY, 0)
    assert driver.line.signals == 0


def test_what_was_offered_before_the_driver_was_ready_is_looked_at_then() -> None:
    driver = Driver(Rng())
    assert driver.negotiate(VERSION_1)
    driver.set_up_queue(0)
    driver.set(Reg.QUEUE_NOTIFY, 0)
    driver.set(Reg.STATUS, 3 | FEATURES_OK | DRIVER_OK)
    assert driver.pokes == [0]


def breaks(driver: Driver) -> bool:
    """Whether the device gives up, and tells."""
    return driver.get(Reg.STATUS) & NEEDS_RESET == NEEDS_RESET and bool(
        driver.get(Reg.INTERRUPT_STATUS) & CONFIG_CHANGE
    )


END = START + (1 << 20)


@pytest.mark.parametrize(
    "descriptors",
    [
        [(START, 16, WRITE | NEXT, 0)],  # a circle of one
        [(START, 0, WRITE | NEXT, 0)],
        [(START, 16, WRITE | NEXT, 1), (START, 16, WRITE | NEXT, 0)],
        [(START, 16, WRITE | NEXT, 8)],  # beyond the table
        [(END - 8, 16, WRITE, 0)],  # across the end of memory
        [(0, 16, WRITE, 0)],
        [(2**64 - 8, 16, WRITE, 0)],
        [(START, 0xFFFF_FFFF, WRITE, 0)],
        [(START, 16, WRITE | NEXT, 1), (START, 16, 0, 0)],  # to read, behind to write
        [(START + 0x8000, 16, 4, 0)],  # indirect, which was not agreed on
    ],
)
def test_impossible_chains_stop_the_device_until_reset(
    descriptors: list[tuple[int, int, int, int]],
) -> None:
    driver = Driver(Rng())
    driver.set_up()
    for number, what in enumerate(descriptors):
        driver.describe(driver.rings(0)[0], number, *what)
    driver.offer(0, 0)
    driver.set(Reg.QUEUE_NOTIFY, 0)
    assert breaks(driver)
    driver.transport.write(Reg.STATUS, 4, 0)
    again = Driver(driver.transport.device)
    again.set_up()
    again.request(0, [], [4])


@pytest.mark.parametrize("size", [0, 3, 128, 0xFFFF_FFFF, 0x1_0000])
def test_a_queue_of_an_impossible_size_is_refused(size: int) -> None:
    driver = Driver(Rng(), size=size)
    driver.negotiate(VERSION_1)
    driver.set_up_queue(0)
    assert driver.get(Reg.QUEUE_READY) == 0
    assert breaks(driver)


def test_more_requests_than_the_queue_holds_are_refused() -> None:
    driver = Driver(Rng())
    driver.set_up()
    driver.poke(driver.rings(0)[1] + 2, "<H", 9)
    driver.set(Reg.QUEUE_NOTIFY, 0)
    assert breaks(driver)


def test_console_input_waits_for_buffers_and_output_goes_out() -> None:
    sent = bytearray()
    console = Console(sent.extend)
    driver = Driver(console)
    driver.set_up()
    driver.request(TRANSMIT, [b"hel", b"lo"], [])
    assert sent == b"hello"
    console.receive(b"typed")
    assert driver.pokes == [RECEIVE]
    driver.transport.notified(RECEIVE)  # nothing offered yet
    assert driver.request(RECEIVE, [], [3])[1] == [b"typ"]
    assert driver.request(RECEIVE, [], [10])[1] == [b"ed" + bytes(8)]
    assert console.room == 4096


def test_console_input_is_put_into_no_more_buffers_at_once_than_a_queue_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Buffers without room, offered again as fast as they come back."""
    console = Console(lambda _: None)
    driver = Driver(console)
    driver.set_up()
    console.receive(b"typed")
    driver.describe(driver.rings(RECEIVE)[0], 0, START, 0, WRITE, 0)
    fill, filled = Chain.fill, [0]

    def refill(chain: Chain, data: bytes | memoryview) -> int:
        filled[0] += 1
        if filled[0] < 1000:
            driver.offer(RECEIVE, 0)
        return fill(chain, data)

    monkeypatch.setattr(Chain, "fill", refill)
    driver.offer(RECEIVE, 0)
    driver.pokes.clear()
    driver.set(Reg.QUEUE_NOTIFY, RECEIVE)
    assert filled[0] == driver.size
    assert driver.pokes == [RECEIVE], "it goes on later"


def test_a_table_of_descriptors_may_be_said_to_be_written() -> None:
    """Section 2.7.5.3.2: the device ignores the flag in the descriptor that leads to it."""
    driver = Driver(Rng())
    driver.set_up(INDIRECT_DESC)
    place = START + 0x8_0000
    driver.describe(place, 0, START + 0x9_0000, 16, WRITE, 0)
    driver.describe(driver.rings(0)[0], 0, place, 16, INDIRECT | WRITE, 0)
    driver.offer(0, 0)
    driver.set(Reg.QUEUE_NOTIFY, 0)
    assert driver.peek(driver.rings(0)[2] + 2, "<HII") == (1, 0, 16)


@pytest.mark.parametrize("features", [VERSION_1, 0])
def test_a_driver_is_not_ready_before_features_are_agreed(
    monkeypatch: pytest.MonkeyPatch, features: int
) -> None:
    device = Rng()
    agreed: list[int] = []
    monkeypatch.setattr(device, "activate", lambda features, _: agreed.append(features))
    driver = Driver(device)
    driver.set(Reg.STATUS, 3 | DRIVER_OK)
    assert driver.get(Reg.STATUS) == 3
    driver.set(Reg.DRIVER_FEATURES_SEL, 1)
    driver.set(Reg.DRIVER_FEATURES, features >> 32)
    driver.set(Reg.STATUS, 3 | FEATURES_OK)
    driver.set_up_queue(0)
    driver.set(Reg.STATUS, 3 | FEATURES_OK | DRIVER_OK)
    assert agreed == ([VERSION_1] if features else [])
    assert bool(driver.get(Reg.STATUS) & DRIVER_OK) is bool(features)
