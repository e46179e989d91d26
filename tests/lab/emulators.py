# SPDX-License-Identifier: Apache-2.0
"""Which QEMU runs the host: the machine's own, Debian's newest, or a given one."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache, native
from tests.lab.errors import LabError, UsageError
from tests.lab.processes import run

PROGRAM = "qemu-system-aarch64"
NEWEST_SUITE = "trixie-backports"


@dataclass(frozen=True)
class Emulator:
    """A QEMU: the words that start it, and a key that changes when it does."""

    words: tuple[str, ...]
    key: str


def _newest() -> Emulator:
    tree = native.fetched(NEWEST_SUITE, ["qemu-system-arm"], "qemu")
    words = native.words(tree, f"usr/bin/{PROGRAM}")
    return Emulator((*words, "-L", str(tree / "usr/share/qemu")), tree.name)


def find(wanted: str) -> Emulator:
    """The QEMU for `--qemu`."""
    if wanted == "newest":
        return _newest()
    if wanted == "distro":
        path = shutil.which(PROGRAM)
        if path is None:
            raise LabError(
                f"{PROGRAM} is not installed. As root: apt-get install --no-install-recommends "
                "qemu-system-arm   (or take --qemu newest, which needs no root)"
            )
    else:
        path = wanted
        if not os.access(path, os.X_OK) or Path(path).is_dir():
            raise UsageError(f"--qemu {wanted}: no such program. Give distro, newest or a path.")
    seen = Path(path).stat()
    return Emulator(
        (path,), cache.digest(str(Path(path).resolve()), seen.st_size, seen.st_mtime_ns)
    )


def version(emulator: Emulator) -> str:
    """QEMU's version."""
    told = run([*emulator.words, "--version"], "asking QEMU for its version")
    found = re.search(r"version (\S+)", told)
    return found[1] if found else "unknown"
