# SPDX-License-Identifier: Apache-2.0
"""Guests that break every rule: no device stumbles, and each works again after a reset.

Hypothesis gives bytes; ``Hostile`` (``hostile.py``) reads them as what a guest does, in any order
and with any values. After each such life a reset must bring the device back to work.
``--hostile-cases`` says how many lives each device has to survive.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minivmm.endings import GuestFault
from minivmm.events import EventLoop
from minivmm.pl011 import Pl011
from minivmm.pl031 import Pl031
from minivmm.ram import Ram
from minivmm.uart16550 import Uart16550
from minivmm.virtio import vhost
from minivmm.virtio.blk import Blk
from minivmm.virtio.console import TRANSMIT, Console
from minivmm.virtio.device import Device
from minivmm.virtio.disk import Disk
from minivmm.virtio.net import Net
from minivmm.virtio.rng import Rng
from minivmm.virtio.transport import Reg
from minivmm.virtio.vsock import Vsock

from pykvm import EventFd, GuestMemory
from tests.unit.vmm.accesses import Accesses
from tests.unit.vmm.driver import SIZE, START, Driver
from tests.unit.vmm.fakes import FakeLevel, FakeTap
from tests.unit.vmm.hostile import NUMBERS, WIDTHS, Hostile, is_broken

Make = Callable[[Path], AbstractContextManager[Device]]
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


class Overseer(vhost.Vhost):
    """Hears what the kernel would be told, which must only ever be of the guest's memory."""

    def __init__(self) -> None:
        self.features = 2**64 - 1
        self.ram: Ram
        self._sizes: dict[int, int] = {}
        self._backends = []

    def over(self, ram: Ram) -> None:
        self.ram = self._ram = ram

    def _do(self, request: int, data: bytes = b"") -> None:
        if request == vhost._SET_MEM_TABLE:
            region = struct.unpack("I4x4Q", data)
            assert region == (1, self.ram.start, self.ram.size, self.ram.hva, 0)
        elif request == vhost._SET_VRING_NUM:
            index, size = struct.unpack("II", data)
            assert 0 < size <= 256
            assert size & (size - 1) == 0
            self._sizes[index] = size
        elif request == vhost._SET_VRING_ADDR:
            index, _, table, used, avail, _ = struct.unpack("II4Q", data)
            size = self._sizes[index]
            for hva, room in (table, 16 * size), (used, 6 + 8 * size), (avail, 6 + 2 * size):
                assert self.ram.hva <= hva
                assert hva + room <= self.ram.hva + self.ram.size

    def close(self) -> None:
        assert not self._backends


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


@contextmanager
def a_card_of_the_kernel(_: Path) -> Iterator[Device]:
    tap, loop = FakeTap(), EventLoop()
    device = Net(tap, bytes(6), loop, Overseer())
    yield device
    device.close()
    loop.close()
    tap.close()


@contextmanager
def a_vsock(_: Path) -> Iterator[Device]:
    device = Vsock(3, Overseer())
    yield device
    device.close()


def life(device: Device, script: bytes) -> None:
    driver = Driver(device, size=8)
    if isinstance(device.vhost, Overseer):
        device.vhost.over(driver.ram)
    guest = Hostile(script)
    if guest.byte() % 8:
        driver.set_up(guest.number() & device.features | (guest.byte() & 3) << 28)
    while guest:
        guest.act(driver)
    driver.set(Reg.STATUS, 0)
    honest = Driver(device, size=32)
    if isinstance(device.vhost, Overseer):
        device.vhost.over(honest.ram)
    honest.set_up()
    assert not is_broken(honest)
    if isinstance(device, Blk):
        assert honest.request(0, [bytes(16)], [512, 1])[1][1] == b"\0"
    elif not device.vhost:
        honest.request(len(device.queue_sizes) - 1, [], [8])
    honest.set(Reg.STATUS, 0)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """Where a disk's flushes cost nothing."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.parametrize("make", [a_rng, a_console, a_disk, a_card, a_card_of_the_kernel, a_vsock])
def test_no_guest_brings_a_device_down(make: Make, in_memory: Path, hostile_cases: int) -> None:
    @settings(max_examples=hostile_cases, deadline=None, database=None, suppress_health_check=_SLOW)
    @given(st.binary(min_size=150, max_size=400))
    def lives(script: bytes) -> None:
        with make(in_memory / "disk") as device:
            life(device, script)

    lives()


def test_no_address_leads_out_of_memory(hostile_cases: int) -> None:
    memory = GuestMemory(SIZE)
    ram = Ram(START, memory)
    sizes = st.one_of(st.sampled_from(NUMBERS), st.integers(0, 2**32 - 1))
    gpas = st.one_of(
        st.sampled_from(NUMBERS), st.integers(START - 64, START + SIZE + 64), st.integers(0, 2**64)
    )

    @settings(max_examples=hostile_cases, deadline=None, database=None)
    @given(gpas, sizes)
    def slices(gpa: int, size: int) -> None:
        try:
            found = ram.slice(gpa, size)
        except GuestFault:
            assert not START <= gpa <= gpa + size <= START + SIZE
        else:
            assert START <= gpa <= gpa + size <= START + SIZE
            assert len(found) == size

    slices()


def test_a_storm_on_one_device_does_not_stop_another() -> None:
    """A queue that is filled as fast as it is emptied, in the loop where a console works, too."""
    loop, printed = EventLoop(), bytearray()
    storm, calm = Driver(Rng()), Driver(Console(printed.extend))
    storm.set_up()
    calm.set_up()
    served = [0]

    def wire(driver: Driver, index: int) -> EventFd:
        bell = EventFd()
        driver.transport.device.poke = lambda _: bell.signal()
        loop.watch(bell, partial(driver.transport.notified, index))
        return bell

    bells = wire(storm, 0), wire(calm, TRANSMIT)
    storm.describe(storm.rings(0)[0], 0, START + 0x8_0000, 64, 2, 0)
    fill = storm.transport.device._fill  # type: ignore[attr-defined]

    def refill(chain: object) -> int:
        served[0] += 1
        if served[0] < 10_000:  # the guest offers the next one before this one is done
            storm.offer(0, 0)
        if served[0] == 100:  # in the midst of it, the other device is rung
            calm.describe(calm.rings(TRANSMIT)[0], 0, *calm.buffer(b"still here"), 0, 0)
            calm.offer(TRANSMIT, 0)
            bells[1].signal()
        if printed or served[0] == 10_000:
            loop.stop()
        return int(fill(chain))

    storm.transport.device._fill = refill  # type: ignore[attr-defined]
    storm.offer(0, 0)
    bells[0].signal()
    loop.run()
    loop.close()
    assert printed == b"still here"
    assert served[0] < 200
    for bell in bells:
        bell.close()


@pytest.mark.parametrize("counting", [True, False])
def test_no_access_brings_the_bus_down(counting: bool, hostile_cases: int) -> None:
    @settings(max_examples=hostile_cases, deadline=None, database=None)
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
        made = Accesses(counting=counting)
        made.bus.add("pl011", 0x1000, 0x1000, Pl011(FakeLevel(), lambda _: None))
        made.bus.add("16550", 0x2000, 0x1000, Uart16550(FakeLevel(), lambda _: None))
        made.bus.add("rtc", 0x3000, 0x1000, Pl031(FakeLevel()))
        for is_store, gpa, width, value in them:
            if is_store:
                made.store(gpa, width, value & (1 << 8 * width) - 1)
            else:
                made.load(gpa, width)  # which looks at what it gets
        if counting:
            assert made.bus.accesses.total() == len(them)

    accesses()
