# SPDX-License-Identifier: Apache-2.0
"""What a guest may do to a virtio device, chosen by bytes."""

from __future__ import annotations

from minivmm.virtio.transport import CONFIG_CHANGE, DRIVER_OK, FEATURES_OK, NEEDS_RESET, Reg

from tests.unit.vmm.driver import INDIRECT, NEXT, RINGS, SIZE, START, WRITE, Driver

WIDTHS = (1, 2, 4, 8)
REGISTERS = [value for name, value in vars(Reg).items() if name.isupper()]
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 16, 64, 255, 256, 512, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x7FFF_FFFF,
    0xFFFF_FFFF, 2**63, 2**64 - 1, 2**64 - 16, START, START + SIZE - 1, START + SIZE,
    RINGS + 0x2000,
)  # fmt: skip
#: Where requests are put together.
HEADER, DATA, STATUS, INDIRECT_TABLE = (
    START + at for at in (0x8_0000, 0x9_0000, 0x9_8000, 0xA_0000)
)


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

    def register(self) -> int:
        return self.byte() * 2 if self.byte() % 2 else REGISTERS[self.byte() % len(REGISTERS)]

    def act(self, driver: Driver) -> None:
        """One deed; where it breaks the device, that is told by an interrupt."""
        was_broken, signals = is_broken(driver), driver.line.signals
        self._act(driver)
        if is_broken(driver) and not was_broken:
            assert driver.line.signals > signals
            assert driver.get(Reg.INTERRUPT_STATUS) & CONFIG_CHANGE

    def _act(self, driver: Driver) -> None:
        queue = self.byte() % 3
        rings = driver.rings(queue)
        match self.byte() % 16:
            case 0:
                width = self.width()
                assert 0 <= driver.transport.read(self.register(), width) < 1 << 8 * max(4, width)
            case 1:
                width = self.width()
                value = self.number() & (1 << 8 * width) - 1
                driver.transport.write(self.register(), width, value)
            case 2 | 3 | 4:
                self.describe(driver, rings[0])
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
                self.almost_honest(driver, queue, rings[0])
            case 12 | 13 if queue in driver._offered:
                self.indirect(driver, queue)
            case 14 if is_broken(driver):
                assert_lies_still(driver)
            case _:
                for index in driver.pokes[:3]:
                    driver.transport.notified(index)
                driver.pokes.clear()
                driver.set(Reg.QUEUE_NOTIFY, queue)

    def describe(self, driver: Driver, table: int) -> None:
        """Any descriptor."""
        gpa = self.number() if self.byte() % 2 else START + 16 * self.byte()
        size = self.number() if self.byte() % 3 == 0 else 4 * self.byte()
        flags, then = self.byte() % 8, self.byte() % 20
        driver.describe(table, self.byte() % 10, gpa % 2**64, size % 2**32, flags, then)

    def almost_honest(self, driver: Driver, queue: int, table: int, *, offer: bool = True) -> int:
        """A request as a disk's driver makes it, but for what is missing or wrong; its length."""
        kind = (0, 1, 1, 4, 8, 11, 13, self.byte())[self.byte() % 8]
        driver.poke(HEADER, "<IIQ", kind, 0, self.number() % 2**64)
        driver.poke(DATA, "<QII", self.number() % 2**64, self.number() % 2**32, self.byte() % 2)
        size = (16, 512, 512, 1024, 16 << 10, self.number() % 2**32)[self.byte() % 6]
        writes = WRITE if self.byte() % 2 else 0
        parts = [(HEADER, 16, 0), (DATA, size, writes), (STATUS, 1, WRITE)]
        if self.byte() % 4 == 0:
            del parts[self.byte() % 3]
        for number, (gpa, room, flags) in enumerate(parts):
            more = NEXT if number + 1 < len(parts) else 0
            driver.describe(table, number, gpa, room, flags | more, number + 1)
        if offer:
            driver.offer(queue, 0)
            driver.set(Reg.QUEUE_NOTIFY, queue)
        return len(parts)

    def indirect(self, driver: Driver, queue: int) -> None:
        """A table of descriptors elsewhere: one that could be, or nested, too long, not in memory,
        of odd size, in a circle, with flags that cannot be, behind another descriptor."""
        parts = self.almost_honest(driver, queue, INDIRECT_TABLE, offer=False)
        where, size, flags, start = INDIRECT_TABLE, 16 * parts, INDIRECT, 0
        table = driver.rings(queue)[0]
        match self.byte() % 10:
            case 0:
                where = self.number() % 2**64
            case 1:
                size = self.number() % 2**32
            case 2:
                flags |= self.byte() % 8
            case 3:  # nested
                driver.describe(INDIRECT_TABLE, 0, INDIRECT_TABLE + 16, 32, INDIRECT, 0)
            case 4:  # in a circle, or out of the table
                driver.describe(
                    INDIRECT_TABLE, parts - 1, STATUS, 1, WRITE | NEXT, self.byte() % (parts + 2)
                )
            case 5:  # more of them than the queue has
                size, where = 16 * self.byte(), INDIRECT_TABLE
                for number in range(size // 16):
                    driver.describe(where, number, DATA, 4, WRITE | NEXT, number + 1)
            case 6:  # across the end of memory
                where = START + SIZE - self.byte() % 64
            case 7:
                self.describe(driver, INDIRECT_TABLE)
            case 8:  # behind another one
                driver.describe(table, 1, HEADER, 16, NEXT, 0)
                start = 1
        driver.describe(table, 0, where, size, flags, 0)
        driver.offer(queue, start)
        driver.set(Reg.QUEUE_NOTIFY, queue)


def is_broken(driver: Driver) -> bool:
    return bool(driver.get(Reg.STATUS) & NEEDS_RESET)


def assert_lies_still(driver: Driver) -> None:
    """Until it is reset, a device whose driver broke a rule touches nothing and says nothing."""
    memory, signals = bytes(driver.bytes), driver.line.signals
    for index in range(4):
        driver.set(Reg.QUEUE_NOTIFY, index)
        driver.transport.notified(index)
    assert bytes(driver.bytes) == memory
    assert driver.line.signals == signals
    driver.set(Reg.STATUS, driver.get(Reg.STATUS) & ~NEEDS_RESET | 1)  # not by less than a reset
    assert is_broken(driver)
