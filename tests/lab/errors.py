# SPDX-License-Identifier: Apache-2.0
"""What can end a lab other than its command: failures of the lab itself, and signals."""

from __future__ import annotations

LAB_FAILED = 125
TIMED_OUT = 124


class LabError(Exception):
    """The lab itself failed; the text says what, why, and what to do. Its exit status is 125."""


class UsageError(LabError):
    """An option asks for something that does not exist or cannot be."""


class Interrupted(BaseException):
    """A signal asked the lab to end. Not an Exception: nothing but clean-up may swallow it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
