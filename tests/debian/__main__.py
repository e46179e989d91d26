# SPDX-License-Identifier: Apache-2.0
"""Boots a copy of the root file system, and looks whether it was left in order."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tests.debian import root
from tests.lab import cache
from tests.lab.errors import LabError

TOP = Path(__file__).resolve().parents[2]
_LAB = (sys.executable, "-m", "tests.lab", "run", "--timeout", "1500")
_WITH = ("--cold", "--guest", "6.12", "--guest-module", "ext4", "--guest-module", "crc32c_generic")


def main() -> int:
    argparse.ArgumentParser(prog="python -m tests.debian", description=__doc__).parse_args()
    try:
        made = root.image()
    except LabError as refusal:
        sys.exit(str(refusal))
    with cache.workdir() as work:
        disk = work / "root.ext4"
        shutil.copyfile(made, disk)
        inside = ("--disk", str(disk), "--", "python3", "-m", "tests.debian.inside")
        status = subprocess.run([*_LAB, *_WITH, *inside], cwd=TOP, check=False).returncode
        checked = subprocess.run(
            ["e2fsck", "-fn", disk], capture_output=True, text=True, check=False
        )
    print(f"its file system afterwards: {checked.stdout.splitlines()[-1]}")
    return status or checked.returncode


if __name__ == "__main__":
    sys.exit(main())
