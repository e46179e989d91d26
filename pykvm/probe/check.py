# SPDX-License-Identifier: Apache-2.0
"""What one part of the selftest found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pykvm.probe.facts import Fact

__all__ = ["FAILURES", "Check"]

#: A failure's name, and what it means.
FAILURES = {
    "lost-end-of-interrupt": (
        "This kernel loses the end of a level interrupt that the guest takes and ends without "
        "leaving in between: the resamplefd stays silent and the interrupt comes again and again. "
        "Known of kernels 7.2 and 7.3 with a GICv3 (6.18 is good). A guest driver that touches its "
        "emulated device before it ends the interrupt is not affected; where it reaches its device "
        "without leaving (VFIO), it can be."
    ),
    "not-ready": "The guest did not get as far as waiting for interrupts.",
    "no-interrupt": "A signal of the irqfd never became an interrupt of the guest.",
    "no-notice": "The guest took and ended its interrupts, but the resamplefd was not signalled.",
    "spurious-interrupt": "The guest took more interrupts than were sent.",
    "no-ring": "A store of the guest never rang the ioeventfd.",
    "unexpected-exit": "The guest did something else than to take interrupts.",
    "refused": "KVM refused a call that this needs.",
}


@dataclass(frozen=True)
class Check:
    """One part of the selftest: ``name`` is "edge", "level", "ioeventfd" or "msi".

    ``failure`` is one of :data:`FAILURES` or None. ``sent`` signals became ``taken`` interrupts, of
    which ``ended`` were told by the resamplefd, and ``rung`` by the ioeventfd (None without one).
    ``median_us`` and ``worst_us`` are microseconds from a signal until its effect was seen here.
    """

    name: str
    result: Literal["passed", "failed", "impossible"]
    failure: str | None
    why: str
    gic: str | None
    sent: int | None
    taken: int | None
    ended: int | None
    rung: int | None
    median_us: int | None
    worst_us: int | None

    @property
    def fact(self) -> Fact:
        source = f"--selftest {self.name}"
        if self.result == "passed":
            return Fact.of(True, source)
        return Fact.no(f"{source}: {self.failure or self.result}")
