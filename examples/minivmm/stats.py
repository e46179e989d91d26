# SPDX-License-Identifier: Apache-2.0
"""What a guest costs: accesses that left it, interrupts, requests. Shown at the end, or live."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minivmm.bus import Bus
from minivmm.virtio.transport import Transport
from pykvm import LevelLine

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from minivmm.vfio.assign import Assigned

_MOST_ROWS = 15


def seconds_since_start() -> float:
    """How long this process has been there, its interpreter's start included."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def tell_stages(reached: Mapping[str, float]) -> None:
    """How long each stage took. Until when: in seconds since the start of the process."""
    start = 0.0
    for stage, end in (*reached.items(), ("guest", seconds_since_start())):
        with suppress(OSError):
            print(f"{end - start:8.2f} s  {stage}", file=sys.stderr)
        start = end


class Stats:
    """What is counted elsewhere, put together."""

    def __init__(
        self,
        bus: Bus,
        transports: Mapping[str, Transport],
        lines: Mapping[str, LevelLine],
        assigned: Sequence[Assigned] = (),
    ) -> None:
        self._bus = bus
        self._assigned = assigned
        self._transports, self._lines = transports, lines
        self._start = time.monotonic()
        self._done = threading.Event()
        self._viewer: threading.Thread | None = None

    def show_live(self) -> None:
        """From now on, each second, on stderr."""
        self._viewer = threading.Thread(target=self._view, name="statistics", daemon=True)
        self._viewer.start()

    def _view(self) -> None:
        from rich.live import Live

        with Live(self.tables(), console=_console(), refresh_per_second=1) as live:
            while not self._done.wait(1):
                live.update(self.tables())

    def close(self) -> None:
        """Shows how it was in the end."""
        self._done.set()
        if self._viewer is not None:
            self._viewer.join()
        with suppress(OSError, SystemExit):  # what rich makes of a stderr that nobody reads
            _console().print(self.tables())

    def tables(self) -> RenderableType:
        from rich.columns import Columns

        return Columns([self._exits(), self._devices()], padding=(0, 3))

    def _exits(self) -> Any:
        table = _table(f"left the guest, in {time.monotonic() - self._start:.1f} s", "access")
        accesses = Counter(self._bus.accesses.copy())
        for (kind, gpa), count in accesses.most_common(_MOST_ROWS):
            table.add_row(f"{kind} {self._bus.name(gpa)}", f"{count:,}")
        rest = accesses.total() - sum(count for _, count in accesses.most_common(_MOST_ROWS))
        if rest:
            table.add_row("elsewhere", f"{rest:,}")
        table.add_row("in all", f"{accesses.total():,}")
        return table

    def _devices(self) -> Any:
        table = _table("devices", "device")
        table.add_column("requests", justify="right")
        for name, transport in self._transports.items():
            table.add_row(name, f"{transport.interrupts:,}", f"{transport.requests:,}")
        for name, line in self._lines.items():
            table.add_row(name, f"{line.ends:,}", "-")
        for device in self._assigned:  # nobody but the host's kernel sees theirs
            table.add_row(f"{device.kind.name} {device.address}", f"{device.interrupts:,}", "-")
        return table


def _table(title: str, first: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)
    table.add_column(first, no_wrap=True)
    table.add_column("interrupts" if first == "device" else "times", justify="right")
    return table


def _console() -> Console:
    from rich.console import Console

    return Console(file=sys.stderr)
