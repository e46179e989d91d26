# SPDX-License-Identifier: Apache-2.0
"""A level-triggered line for device models: the protocol around an irqfd and its resamplefd."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from pykvm.errors import ClosedError, KvmError
from pykvm.irqfd import Irqfd

__all__ = ["LevelLine"]


class LevelLine:
    """Keeps a level interrupt up as long as a device wants service, and no longer.

    An irqfd can only raise its line. The guest's end of the interrupt lowers it and is told through
    the resamplefd; whoever still wants service then has to raise it again. So:

    - ``wants()``, given by the device model, says whether the device wants service now;
    - the device model calls :meth:`update` after every change that may make it want service;
    - somebody calls :meth:`ended` when :meth:`fileno` is readable: a selector, a thread in
      :meth:`wait`, or a task in :meth:`serve`.

    Then no interrupt is lost, none is raised while the line is up, and none that nobody wants. A
    guest finds the device content only where it lost interest by itself, after it had raised.

    ``wants`` is called by whoever calls update() or ended(), with the line's lock held: else the
    guest could be served between the question and the raise. So it must not wait for a lock that
    a caller of update() holds; reading an attribute needs none.

    Synchronization: any thread; one consumer of the resamplefd at a time.
    """

    __slots__ = ("_ends", "_irqfd", "_lock", "_resample", "_up", "_wants")

    def __init__(self, irqfd: Irqfd, wants: Callable[[], bool]) -> None:
        """``irqfd``: bound with ``resample=True`` (ValueError otherwise)."""
        if not isinstance(irqfd, Irqfd):
            raise TypeError(f"irqfd must be an Irqfd, not {type(irqfd).__name__}")
        if irqfd.resample is None:
            raise ValueError(
                "a level line needs to hear of the guest's end of interrupt: bind its irqfd with "
                "vm.irqfd(…, resample=True)"
            )
        if not callable(wants):
            raise TypeError("wants must be callable: it says whether the device wants service")
        self._irqfd = irqfd
        self._resample = irqfd.resample
        self._wants = wants
        # Reentrant: a signal handler may call update() in the middle of update().
        self._lock = threading.RLock()
        self._up = False
        self._ends = 0

    @property
    def irqfd(self) -> Irqfd:
        """The binding underneath; close() it when the device goes."""
        return self._irqfd

    @property
    def up(self) -> bool:
        """Whether the line was raised and the guest has not ended the interrupt since."""
        return self._up

    @property
    def ends(self) -> int:
        """How many ends of an interrupt were heard of so far."""
        return self._ends

    def update(self) -> None:
        """Raises the line if the device wants service and the line is not up.

        Errors: as :meth:`Irqfd.inject`.
        """
        with self._lock:
            if not self._up and self._wants():
                self._up = True  # before: a handler that hears the end at once must find it so
                try:
                    self._irqfd.inject()
                except BaseException:
                    self._up = False
                    raise

    def ended(self) -> int:
        """Takes the guest's notices, asks the device, and raises the line again if it still wants.

        Returns: how many ends there were since the last call; 0 if none. Never blocks.
        """
        ends = 0
        with self._lock:
            try:
                ends = self._resample.read()
                if ends:
                    self._up = False
                    self.update()
            except BaseException:
                # A handler raised, perhaps with the notice in its hands: one raise too many rather
                # than none for ever. Whoever listens hears of it again.
                self._up = False
                with contextlib.suppress(ClosedError, KvmError):
                    self._resample.signal(ends or 1)
                raise
            self._ends += ends
        return ends

    def fileno(self) -> int:
        """The resamplefd, for selectors: readable when :meth:`ended` has something to do."""
        return self._resample.fileno()

    def wait(self, timeout: float | None = None) -> int:
        """Waits up to ``timeout`` seconds (None: for ever) for an end, then as :meth:`ended`."""
        self._resample.poll(timeout)
        return self.ended()

    async def serve(self) -> None:
        """Does what :meth:`ended` does, as an asyncio task, until it is cancelled."""
        self.update()
        with self._resample._watched() as readable:
            while True:
                await readable()
                self.ended()

    def __repr__(self) -> str:
        return f"<LevelLine {'up' if self._up else 'down'} of {self._irqfd!r}>"
