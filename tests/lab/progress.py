# SPDX-License-Identifier: Apache-2.0
"""One line on stderr that says what the lab is doing, while a person is looking."""

from __future__ import annotations

import os
import sys

_shown = False


def say(text: str) -> None:
    """Show a step, over the one before."""
    global _shown
    if sys.stderr.isatty():
        width = max(20, os.get_terminal_size(sys.stderr.fileno()).columns or 80)
        sys.stderr.write(f"\r\x1b[Klab: {text}"[: width + 3])
        sys.stderr.flush()
        _shown = True


def done() -> None:
    """Wipe the line, before anything else is printed."""
    global _shown
    if _shown:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
        _shown = False
