# SPDX-License-Identifier: Apache-2.0
"""How a run can end."""

from __future__ import annotations

import enum
import signal
import threading
from collections.abc import Callable


class BadInput(Exception):
    """What the user gave cannot work; the message is one line, for the user."""


class GuestFault(Exception):
    """The guest told a device something impossible: an address without memory, a loop."""


class Ending(enum.Enum):
    """Why the guest does not run any more. The value is the program's exit status."""

    POWER_OFF = 0
    CRASH = 1
    BAD_INPUT = 2
    RESET = 3
    QUIT = 4
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class Outcome:
    """Where whoever ends the guest says so: the first one is believed."""

    def __init__(self, *wake: Callable[[], None]) -> None:
        """``wake`` makes the main thread look, and whoever waits for somebody else."""
        self._wake = wake
        self._lock = threading.RLock()  # a signal's handler may come in between
        self.ending: Ending | None = None
        self.why = ""
        #: What else the user should know.
        self.notes: list[str] = []
        self.failure: BaseException | None = None

    def end(self, ending: Ending, why: str = "") -> None:
        with self._lock:
            if self.ending is None:
                self.ending, self.why = ending, why
        for wake in self._wake:
            wake()

    def fail(self, failure: BaseException) -> None:
        """Something is wrong with this program itself; the main thread raises it."""
        self.failure = self.failure or failure
        self.end(Ending.CRASH, repr(failure))


class Signals:
    """SIGHUP, SIGINT and SIGTERM: they end the life that there is or, in a reset, the next one."""

    def __init__(self) -> None:
        self._ending: Ending | None = None
        self._outcome: Outcome | None = None
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    def _take(self, number: int, _: object) -> None:
        self._ending = Ending(128 + number)
        self.end(self._outcome)

    def end(self, outcome: Outcome | None) -> None:
        """It hears of a signal from now on, and of one that came before; None: no life does."""
        self._outcome = outcome
        if outcome and self._ending:
            outcome.end(self._ending)
