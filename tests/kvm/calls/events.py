# SPDX-License-Identifier: Apache-2.0
"""Calls on eventfds and on what they are bound to."""

from __future__ import annotations

from tests.kvm.calls.table import U32, Call, Staged
from tests.kvm.kinds import Descriptor, Int, Other, Seconds, Wrong

_LEVEL = Other(*(Wrong(v, TypeError, "irqfd") for v in (None, 5, object(), True)))
_WANTS = Other(*(Wrong(v, TypeError, "wants") for v in (None, 5, object(), True)))
_LEVEL_IRQFD: Staged = lambda stage: stage["level"]  # noqa: E731

CALLS: list[Call] = [
    Call("EventFd", "", {"count": (5, Int(0, U32))}),
    Call("EventFd.adopt", "", {"given": (lambda stage: stage["eventfd"], Descriptor())}),
    Call("EventFd.close", "eventfd", closed=None),
    Call("EventFd.closed", "eventfd", closed=None),
    Call("EventFd.fileno", "eventfd"),
    Call("EventFd.poll", "eventfd", {"timeout": (0, Seconds())}),
    Call("EventFd.read", "eventfd"),
    Call("EventFd.readable", "eventfd", awaited=True),
    Call("EventFd.signal", "eventfd", {"count": (5, Int(1, 2**64 - 2))}),
    Call("EventFd.wait", "eventfd", {"timeout": (0, Seconds())}),
    Call("Irqfd.close", "irqfd", closed=None),
    Call("Irqfd.closed", "irqfd", closed=None),
    Call("Irqfd.inject", "irqfd"),
    Call("Irqfd.resample", "irqfd", closed=None),
    Call("Irqfd.trigger", "irqfd", closed=None),
    Call("LevelLine", "", {"irqfd": (_LEVEL_IRQFD, _LEVEL), "wants": (bool, _WANTS)}),
    Call("LevelLine.ended", "line"),
    Call("LevelLine.ends", "line", closed=None),
    Call("LevelLine.fileno", "line"),
    Call("LevelLine.irqfd", "line", closed=None),
    Call("LevelLine.serve", "line", awaited=True),
    Call("LevelLine.up", "line", closed=None),
    Call("LevelLine.update", "line"),
    Call("LevelLine.wait", "line", {"timeout": (0, Seconds())}),
    Call("Ioeventfd.close", "ioeventfd", closed=None),
    Call("Ioeventfd.closed", "ioeventfd", closed=None),
    Call("Ioeventfd.eventfd", "ioeventfd", closed=None),
]
