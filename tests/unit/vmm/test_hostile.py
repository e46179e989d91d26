# SPDX-License-Identifier: Apache-2.0
"""Guests that break every rule: no device stumbles, and each works again after a reset.

Hypothesis gives bytes; ``Hostile`` reads them as what a guest does, in any order and with any
values. After each such life a reset must bring the device back to work.
PYKVM_HOSTILE_CASES says how many lives each device has to survive.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minivmm.events import EventLoop
from minivmm.pl011 import Pl011
from minivmm.pl031 import Pl031
from minivmm.uart16550 import Uart16550
from minivmm.virtio.blk import Blk
from minivmm.virtio.console import Console
from minivmm.virtio.device import Device
from minivmm.virtio.disk import Disk
from minivmm.virtio.net import Net
from minivmm.virtio.rng import Rng
from minivmm.virtio.transport import DRIVER_OK, FEATURES_OK, Reg

from tests.unit.vmm.accesses import Accesses
from tests.unit.vmm.driver import RINGS, SIZE, START, Driver
from tests.unit.vmm.fakes import FakeLevel, FakeTap

CASES = int(os.environ.get("PYKVM_HOSTILE_CASES", "2000"))
WIDTHS = (1, 2, 4, 8)
REGISTERS = [value for name, value in vars(Reg).items() if name.isupper()]
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 16, 64, 255, 256, 512, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x7FFF_FFFF,
    0xFFFF_FFFF, 2**63, 2**64 - 1, 2**64 - 16, START, START + SIZE - 1, START + SIZE,
    RINGS + 0x2000,
)  # fmt: skip


class Hostile:
    """Bytes as the deeds of a guest. Where they end, zeros follow."""

    def __init__(self, script: bytes) -> None:
        self._script = script
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._script)

    def byte(self) -> int:
        self._at += 1
        return self._script[self._at - 1] if self._at <= len(self._script) else 0

    def number(self) -> int:
        """One that hurts, or any."""
        kind = self.byte()
        if kind < 2 * len(NUMBERS):
            return NUMBERS[kind % len(NUMBERS)]
        return int.from_bytes(bytes(self.byte() for _ in range(1 + kind % 5)), "little")

    def width(self) -> int:
        return WIDTHS[self.byte() % 4] if self.byte() % 4 == 0 else 4

    def act(self, driver: Driver) -> None:
        queue = self.byte() % 3
        rings = driver.rings(queue)
        match self.byte() % 13:
            case 0:
                offset = self.byte() * 2 if self.byte() % 2 else REGISTERS[self.byte() % 24]
                driver.transport.read(offset, self.width())
            case 1:
                offset = self.byte() * 2 if self.byte() % 2 else REGISTERS[self.byte() % 24]
                width = self.width()
                driver.transport.write(offset, width, self.number() & (1 << 8 * width) - 1)
            case 2 | 3 | 4:
                gpa = self.number() if self.byte() % 2 else START + 16 * self.byte()
                size = self.number() if self.byte() % 3 == 0 else 4 * self.byte()
                flags, then = self.byte() % 8, self.byte() % 20
                values = gpa % 2**64, size % 2**32, flags, then
                driver.describe(rings[0], self.byte() % 10, *values)
            case 5:
                driver.poke(rings[1] + 2, "<H", self.number() & 0xFFFF)
            case 6:
                driver.poke(START + self.byte() * 0x41, "<I", self.number() & 0xFFFF_FFFF)
            case 7 if queue in driver._offered:
                driver.offer(queue, self.byte() % 12)
                driver.set(Reg.QUEUE_NOTIFY, queue)
            case 8:
                driver.set_up_queue(queue)
                driver.set(Reg.STATUS, self.byte() | FEATURES_OK | DRIVER_OK)
            case 9 | 10 | 11 if queue in driver._offered:
                self.almost_honest(driver, queue)
            case _:
                for index in driver.pokes[:3]:
                    driver.transport.notified(index)
                driver.pokes.clear()
                driver.set(Reg.QUEUE_NOTIFY, queue)

    def almost_honest(self, driver: Driver, queue: int) -> None:
        """A request as a disk's driver makes it, but for what is missing or wrong."""
        table, header, data = driver.rings(queue)[0], START + 0x8_0000, START + 0x9_0000
        kind = (0, 1, 1, 4, 8, 11, 13, self.byte())[self.byte() % 8]
        driver.poke(header, "<IIQ", kind, 0, self.number() % 2**64)
        driver.poke(data, "<QII", self.number() % 2**64, self.number() % 2**32, self.byte() % 2)
        size = (16, 512, 512, 1024, 16 << 10, self.number() % 2**32)[self.byte() % 6]
        writes = 2 if self.byte() % 2 else 0
        parts = [(header, 16, 0), (data, size, writes), (data + (1 << 15), 1, 2)]
        if self.byte() % 4 == 0:
            del parts[self.byte() % 3]
        for number, (gpa, room, flags) in enumerate(parts):
            more = 1 if number + 1 < len(parts) else 0
            driver.describe(table, number, gpa, room, flags | more, number + 1)
        driver.offer(queue, 0)
        driver.set(Reg.QUEUE_NOTIFY, queue)


@contextmanager
def a_rng(_: Path) -> Iterator[Device]:
    yield Rng()


@contextmanager
def a_console(_: Path) -> Iterator[Device]:
    console = Console(lambda _: None)
    console.receive(b"typed" * 100)
    yield console


@contextmanager
def a_disk(path: Path) -> Iterator[Device]:
    path.write_bytes(bytes(64 << 10))
    with Disk(path) as disk:
        yield Blk(disk)
    assert path.stat().st_size == 64 << 10


@contextmanager
def a_card(_: Path) -> Iterator[Device]:
    tap, loop = FakeTap(), EventLoop()
    tap.wire.send(bytes(12) + b"a packet that waits")
    yield Net(tap, bytes(6), loop)
    loop.close()
    tap.close()


def life(device: Device, script: bytes) -> None:
    driver = Driver(device, size=8)
    guest = Hostile(script)
    if guest.byte() % 8:
        driver.set_up(guest.number() & device.features | (guest.byte() & 3) << 28)
    while guest:
        guest.act(driver)
    driver.set(Reg.STATUS, 0)
    honest = Driver(device, size=32)
    honest.set_up()
    if isinstance(device, Blk):
        assert honest.request(0, [bytes(16)], [512, 1])[1][1] == b"\0"
    else:
        honest.request(len(device.queue_sizes) - 1, [], [8])


@pytest.mark.parametrize("make", [a_rng, a_console, a_disk, a_card])
def test_no_guest_brings_a_device_down(make: Callable[..., object], tmp_path: Path) -> None:
    @settings(
        max_examples=CASES, deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(st.binary(min_size=150, max_size=400))
    def lives(script: bytes) -> None:
        with make(tmp_path / "disk") as device:  # type: ignore[attr-defined]
            life(device, script)

    lives()


def test_no_access_brings_the_bus_down() -> None:
    @settings(max_examples=CASES, deadline=None, database=None)
    @given(
        st.lists(
            st.tuples(
                st.booleans(),
                st.one_of(st.integers(0, 0x4FFF), st.integers(0, 2**64 - 8)),
                st.sampled_from(WIDTHS),
                st.integers(0, 2**64 - 1),
            ),
            max_size=8,
        )
    )
    def accesses(them: list[tuple[bool, int, int, int]]) -> None:
        made = Accesses(counting=True)
        made.bus.add("pl011", 0x1000, 0x1000, Pl011(FakeLevel(), lambda _: None))
        made.bus.add("16550", 0x2000, 0x1000, Uart16550(FakeLevel(), lambda _: None))
        made.bus.add("rtc", 0x3000, 0x1000, Pl031(FakeLevel()))
        for is_store, gpa, width, value in them:
            if is_store:
                made.store(gpa, width, value & (1 << 8 * width) - 1)
            else:
                made.load(gpa, width)  # which looks at what it gets
        assert made.bus.accesses.total() == len(them)

    accesses()
