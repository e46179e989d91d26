# SPDX-License-Identifier: Apache-2.0
"""Booting a stock Linux in the minimal VMM, as a person does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.properties import GUEST

PROGRAM = Path(__file__).resolve().parents[3] / "examples" / "boot_linux.py"
#: Seconds for a guest to come to its end. Emulated hosts stall for long.
PATIENCE = 150


class Told(NamedTuple):
    """How a guest ended, and what it printed: ``lines`` are those of its script."""

    status: int
    lines: list[str]
    stderr: str


def command(script: str, *words: str) -> list[str]:
    """The command line for a guest whose init runs ``script``."""
    return [
        sys.executable, str(PROGRAM), str(GUEST), "--initrd", str(GUEST.with_name("initrd")),
        *words, "--append", f"quiet guest.run={script}",
    ]  # fmt: skip


def boot(script: str, *words: str, typed: str = "") -> Told:
    """Boots a guest, which runs ``script`` and switches itself off."""
    done = subprocess.run(
        command(script, *words),
        input=typed, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.replace("\r", "").splitlines() if line]
    lines = [line for line in lines if not line.startswith("[")]  # the kernel's own
    return Told(done.returncode, lines, done.stderr)
