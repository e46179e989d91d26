# SPDX-License-Identifier: Apache-2.0
"""Arm's PL011 UART: characters out soon, characters in as the guest asks for them.

A driver that prints asks FR for room and stores to DR, for each character: FR is answered and DR
kept without Python, and what was kept is sent in one piece.

Source: Arm DDI 0183, PrimeCell UART (PL011) Technical Reference Manual.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from minivmm.lines import Level
from minivmm.quick import Status, Stream

DR, FR, IBRD, FBRD, LCRH, CR, IFLS = 0x00, 0x18, 0x24, 0x28, 0x2C, 0x30, 0x34
IMSC, RIS, MIS, ICR, DMACR, ID = 0x38, 0x3C, 0x40, 0x44, 0x48, 0xFE0

_FR_RX_EMPTY, _FR_RX_FULL, _FR_TX_EMPTY = 1 << 4, 1 << 6, 1 << 7
_INT_RX, _INT_TX, _INT_RX_TIMEOUT = 1 << 4, 1 << 5, 1 << 6
_INPUT = _INT_RX | _INT_RX_TIMEOUT
_FIFO = 32
#: Characters beyond which whoever prints has to wait until they are sent.
_MOST = 4096
#: PeriphID0-3, PCellID0-3: a PL011 of revision 3, one byte in each word.
_IDS = bytes((0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1))
#: Registers that only remember what was stored, with their bits and what reset leaves.
_PLAIN = {
    IBRD: (0xFFFF, 0),
    FBRD: (0x3F, 0),
    LCRH: (0xFF, 0),
    CR: (0xFFFF, 0x300),
    IFLS: (0x3F, 0x12),
    IMSC: (0x7FF, 0),
    DMACR: (0x7, 0),
}


class Pl011:
    """``send`` takes what the guest prints; ``wants_more`` is called when input was taken."""

    def __init__(
        self,
        line: Level,
        send: Callable[[bytes], None],
        wants_more: Callable[[], None] = lambda: None,
    ) -> None:
        self._line = line
        self._send = send
        self._wants_more = wants_more
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._flags = Status(FR, 4, _FR_TX_EMPTY | _FR_RX_EMPTY)
        self.printed = Stream(DR, 4)
        self.quick = (self.printed, self._flags)
        self._to_send = bytearray()
        self._plain = {offset: start for offset, (_, start) in _PLAIN.items()}
        self._raw = 0
        self._input = bytearray()

    # The guest's side --------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        if offset == FR:
            return self._flags.value
        if offset == DR:
            return self._take()
        if offset == RIS:
            return self._raw
        if offset == MIS:
            return self._raw & self._plain[IMSC]
        if offset >= ID and offset % 4 == 0:
            return _IDS[(offset - ID) // 4]
        return self._plain.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == DR:
            with self._lock:
                self._to_send.append(value & 0xFF)
                waiting = len(self._to_send)
                self._raw |= _INT_TX  # there is room again, at once
                self._update()
            if waiting > _MOST or not self.printed.waits:
                self.flush()
        elif offset == ICR:
            with self._lock:
                self._raw &= ~value
                self._update()
        elif offset in _PLAIN:
            with self._lock:
                self._plain[offset] = value & _PLAIN[offset][0]
                self._update()

    def _take(self) -> int:
        with self._lock:
            if not self._input:
                return 0
            byte = self._input.pop(0)
            left = len(self._input)
            if not left:
                self._raw &= ~_INPUT
            self._update()
        if not left:
            self._wants_more()
        return byte

    def flush(self) -> None:
        """Sends what the guest has printed, in the order in which it did."""
        with self._sending:
            with self._lock:
                data = bytes(self._to_send)
                self._to_send.clear()
            if data:
                self._send(data)

    def catch_up(self) -> None:
        """The guest has printed: all of that is sent."""
        self.printed.catch_up()
        self.flush()

    def _update(self) -> None:
        full = _FR_RX_FULL if len(self._input) >= _FIFO else 0
        self._flags.value = _FR_TX_EMPTY | (full if self._input else _FR_RX_EMPTY)
        self._line.set_level(bool(self._raw & self._plain[IMSC]))

    # The world's side --------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many bytes of input there is place for."""
        return _FIFO - len(self._input)

    def receive(self, data: bytes) -> None:
        """Somebody types; at most ``room`` bytes."""
        with self._lock:
            self._input += data
            self._raw |= _INPUT
            self._update()
