# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: a device, how a guest is given it, and what must come of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.devices.kinds import KINDS
from tests.devices.life import Life, live

#: A guest's Linux gives an interrupt up that nobody has handled so often.
_NOBODY_CARED = 100_000


@dataclass(frozen=True)
class Row:
    """``how`` stands behind the device's address. ``right``: what must come of it."""

    device: str
    mode: str
    right: Callable[[Life], bool]
    how: str = ""
    without: str = ""
    repeats: int = 5
    #: In place of the device's, where each takes long.
    reads: int = 0

    @property
    def name(self) -> str:
        return f"{self.device} {self.mode}"

    def run(self, *words: str) -> Mapping[str, Any]:
        """On the emulated host: what one guest did, as plain data."""
        kind = KINDS[self.device]
        kind = kind._replace(reads=self.reads or kind.reads)
        life = live(kind, *words, how=self.how, without=self.without, repeats=self.repeats)
        return {"row": self.name, "right": self.right(life), "reads": kind.reads, **asdict(life)}


def _ended(life: Life) -> bool:
    """Each interrupt came from the device, and was ended by the guest."""
    counts = life.counts
    return (
        counts["raised"] == counts["acknowledged"] >= counts["host"] > 0
        and counts["acknowledged"] >= life.guest_interrupts > 0
    )


def _data(life: Life) -> bool:
    return life.found and life.checksum and life.written


def _direct(life: Life) -> bool:
    return _data(life) and _ended(life) and life.counts["register exits"] == 0


def _trapped(life: Life) -> bool:
    return _data(life) and _ended(life) and life.counts["register exits"] > 0


def _keyboard(life: Life) -> bool:
    return life.found and _ended(life) and life.counts["register exits"] > 0


def _storm(life: Life) -> bool:
    """Linux gives up after so many."""
    return life.counts["acknowledged"] >= _NOBODY_CARED > life.counts["host"]


def _one_and_no_more(life: Life) -> bool:
    return not life.found and life.counts["acknowledged"] == 0 and life.counts["host"] == 1


def _silence(life: Life) -> bool:
    return not life.found and life.counts["host"] == life.counts["raised"] == 0


def _ends_lost(life: Life) -> bool:
    """Data are right; but the guest is interrupted far more often than the device wanted."""
    return _data(life) and life.guest_interrupts > 10 * life.counts["host"] > 0


_LEVEL = "level, resample"
DEVICES = (
    Row("ahci", f"direct, {_LEVEL}", _direct, ",direct"),
    Row("ahci", f"trapped, {_LEVEL}", _trapped, ",trap", reads=400),
    Row("ehci", f"direct, {_LEVEL}", _direct, ",direct"),
    Row("xhci", f"direct, {_LEVEL}", _direct, ",direct"),
    Row("ohci", f"trapped, {_LEVEL}", _keyboard, ",direct"),
)
VIRTIO = Row("virtio", "blk of this VMM", _data, reads=400)
CONTROLS = (
    Row("ahci", "without resamplefd", _storm, ",direct", "resample", 0),
    Row("ahci", "edge in the device tree", _one_and_no_more, ",direct", "level", 0),
    Row("ahci", "without bus mastering", _silence, ",direct", "bus-master", 0),
)
LOST = (
    Row("ahci", "direct, ends lost", _ends_lost, ",direct", repeats=1, reads=100),
    Row("ahci", "by itself: trapped", _trapped, repeats=1, reads=100),
)
#: By the host's name.
ROWS = {
    "devices-gicv3": (*DEVICES, VIRTIO, *CONTROLS),
    "devices-gicv2": tuple(replace(row, repeats=1) for row in DEVICES),
    "devices-gicv3-newest": LOST,
}
