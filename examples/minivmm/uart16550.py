# SPDX-License-Identifier: Apache-2.0
"""A 16550A UART: the serial port of PCs, one byte for each register.

Source: TI TL16C550C data sheet; Linux's drivers/tty/serial/8250 for what probing asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from minivmm.lines import Level
from minivmm.quick import Status


class Reg:
    """Registers. The first two are the divisor's while LCR says so; FCR is IIR's for stores."""

    DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH = range(8)
    FCR = IIR


_DIVISOR_ACCESS, _LOOPBACK, _FIFO_ENABLE, _FIFO_CLEAR_INPUT = 0x80, 0x10, 0x01, 0x02
_WANTS_INPUT, _WANTS_OUTPUT = 0x01, 0x02
_NOTHING, _OUTPUT_DONE, _INPUT_THERE, _FIFOS = 0x01, 0x02, 0x04, 0xC0
_LSR_INPUT, _LSR_SENT = 0x01, 0x60
_CONNECTED = 0xB0  # MSR: carrier, data set ready, clear to send
_ROOM = 16
#: Bits that are there: others read as zero, by which drivers tell this UART from later ones.
_BITS = {Reg.IER: 0x0F, Reg.MCR: 0x1F}


class Uart16550:
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
        self._lock = threading.Lock()
        self._plain = {Reg.IER: 0, Reg.LCR: 0, Reg.MCR: 0, Reg.SCRATCH: 0}
        self._divisor = bytearray((1, 0))
        self._has_fifo = False
        self._output_done = False
        self._input = bytearray()
        self._line_status = Status(Reg.LSR, 1, _LSR_SENT)
        self.quick = (self._line_status,)

    # The guest's side --------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        with self._lock:
            value = self._load(offset)
            self._update()
            drained = offset == Reg.DATA and not self._input
        if drained:
            self._wants_more()
        return value

    def _load(self, offset: int) -> int:
        if offset < 2 and self._plain[Reg.LCR] & _DIVISOR_ACCESS:
            return self._divisor[offset]
        match offset:
            case Reg.DATA:
                return self._input.pop(0) if self._input else 0
            case Reg.IIR:
                cause = self._cause()
                if cause == _OUTPUT_DONE:
                    self._output_done = False  # told, which ends it
                return cause | (_FIFOS if self._has_fifo else 0)
            case Reg.LSR:
                return self._line_status.value
            case Reg.MSR:
                return self._modem()
        return self._plain.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        with self._lock:
            had_input = bool(self._input)
            printed = self._store(offset, value & 0xFF)
            self._update()
            drained = had_input and not self._input
        if printed:  # which may wait for whoever reads: input, and the other CPUs, must not
            self._send(printed)
        if drained:
            self._wants_more()

    def _store(self, offset: int, value: int) -> bytes:
        """Returns what is to be sent."""
        if offset < 2 and self._plain[Reg.LCR] & _DIVISOR_ACCESS:
            self._divisor[offset] = value
        elif offset == Reg.DATA:
            self._output_done = True
            if not self._plain[Reg.MCR] & _LOOPBACK:
                return bytes((value,))
            if len(self._input) < _ROOM:
                self._input.append(value)
        elif offset == Reg.FCR:
            self._has_fifo = bool(value & _FIFO_ENABLE)
            if value & _FIFO_CLEAR_INPUT:
                self._input.clear()
        elif offset in self._plain:
            if offset == Reg.IER and value & ~self._plain[Reg.IER] & _WANTS_OUTPUT:
                self._output_done = True  # there is room, which whoever begins to listen is told
            self._plain[offset] = value & _BITS.get(offset, 0xFF)
        return b""

    def _modem(self) -> int:
        control = self._plain[Reg.MCR]
        if not control & _LOOPBACK:
            return _CONNECTED
        # Its own outputs come back: DTR, RTS, OUT1, OUT2 as DSR, CTS, RI, DCD.
        return (control & 1) << 5 | (control & 2) << 3 | (control & 4) << 4 | (control & 8) << 4

    def _cause(self) -> int:
        wanted = self._plain[Reg.IER]
        if self._input and wanted & _WANTS_INPUT:
            return _INPUT_THERE
        if self._output_done and wanted & _WANTS_OUTPUT:
            return _OUTPUT_DONE
        return _NOTHING

    def _update(self) -> None:
        self._line_status.value = _LSR_SENT | (_LSR_INPUT if self._input else 0)
        self._line.set_level(self._cause() != _NOTHING)

    # The world's side --------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many bytes of input there is place for."""
        return _ROOM - len(self._input)

    def receive(self, data: bytes) -> None:
        """Somebody types; at most ``room`` bytes."""
        with self._lock:
            self._input += data
            self._update()
