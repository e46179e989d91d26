# SPDX-License-Identifier: Apache-2.0
"""Arm's PL031 clock: seconds since 1970, and an alarm.

Source: Arm DDI 0224, PrimeCell Real Time Clock (PL031) Technical Reference Manual.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from minivmm.lines import Level


class Reg:
    """Offsets of registers."""

    DR, MR, LR, CR, IMSC, RIS, MIS, ICR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C
    ID = 0xFE0


_IDS = bytes((0x31, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1))
_WORD = 0xFFFF_FFFF


class Pl031:
    """``now`` is the host's clock. The guest may set its own, which is kept as a difference.

    ``alarm`` is told after how many seconds to call ``ring()``, or None for never.
    """

    quick = ()

    def __init__(
        self,
        line: Level,
        alarm: Callable[[float | None], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._line = line
        self._alarm = alarm
        self._now = now
        self._lock = threading.RLock()
        self._ahead = 0
        self._match = self._load = self._mask = 0
        self._raw = False

    @property
    def seconds(self) -> int:
        return (int(self._now()) + self._ahead) & _WORD

    def read(self, offset: int, size: int) -> int:
        if offset >= Reg.ID and offset % 4 == 0:
            return _IDS[(offset - Reg.ID) // 4]
        match offset:
            case Reg.DR:
                return self.seconds
            case Reg.MR:
                return self._match
            case Reg.LR:
                return self._load
            case Reg.CR:  # it always runs
                return 1
            case Reg.IMSC:
                return self._mask
            case Reg.RIS:
                return int(self._raw)
            case Reg.MIS:
                return int(self._raw and bool(self._mask))
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        with self._lock:
            match offset:
                case Reg.MR:
                    self._match = value & _WORD
                    self._set_alarm()
                case Reg.LR:
                    self._load = value & _WORD
                    self._ahead = self._load - int(self._now())
                    self._set_alarm()
                case Reg.IMSC:
                    self._mask = value & 1
                    self._update()
                case Reg.ICR:
                    self._raw = self._raw and not value & 1
                    self._update()

    def _set_alarm(self) -> None:
        left = (self._match - self.seconds) & _WORD
        if left == 0:
            self.ring()
        self._alarm(left if 0 < left < 1 << 31 else None)  # more than that is the past

    def ring(self) -> None:
        """The time of the alarm has come."""
        with self._lock:
            self._raw = True
            self._update()

    def _update(self) -> None:
        self._line.set_level(self._raw and bool(self._mask))
