# SPDX-License-Identifier: Apache-2.0
"""The signal that kicks use: one for the process, claimed before the first vCPU."""

from __future__ import annotations

import errno

from pykvm._descriptor import check_int
from pykvm._native import lib
from pykvm.errors import KvmBusyError

__all__ = ["claim_kick_signal", "set_kick_signal"]

_kick_signal = 0


def set_kick_signal(signum: int) -> None:
    """Chooses the signal that kicks use, before the first vCPU is created.

    By default it is the first real-time signal that nobody uses. It gets a C handler that does
    nothing; from then on the application leaves it alone.
    Raises ValueError where the signal is in use, or another one was chosen already.
    """
    global _kick_signal
    signum = check_int("signum", signum, 1, 64)
    if _kick_signal not in (0, signum):
        raise ValueError(f"kicks use signal {_kick_signal} already: choose before the first vCPU")
    claimed = lib.claim_kick_signal(signum)
    if claimed < 0:
        raise ValueError(
            f"signal {signum} cannot be used: it has a handler, is ignored, reports faults of the "
            f"program, or cannot be handled"
        )
    _kick_signal = claimed


def claim_kick_signal() -> int:
    """The signal's number; the first call claims it."""
    global _kick_signal
    if not _kick_signal:
        claimed = lib.claim_kick_signal(0)
        if claimed < 0:
            raise KvmBusyError(
                errno.EBUSY, "sigaction", {},
                "Every real-time signal has a handler: give one up, and name it to "
                "pykvm.set_kick_signal().",
            )  # fmt: skip
        _kick_signal = claimed
    return _kick_signal
