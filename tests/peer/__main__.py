# SPDX-License-Identifier: Apache-2.0
"""Runs the comparison on an emulated host, with Debian's arm64 QEMU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
_LAB = (sys.executable, "-m", "tests.lab", "run", "--timeout", "1200")
_WITH = ("--cold", "--guest", "6.12", "--package", "qemu-system-arm")


def main() -> int:
    inside = ("--", "python3", "-m", "tests.peer.inside", *sys.argv[1:])
    return subprocess.run([*_LAB, *_WITH, *inside], cwd=TOP, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
