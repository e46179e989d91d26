# SPDX-License-Identifier: Apache-2.0
"""What this machine lacks to build and test pykvm, installed if we may.

Uses the standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def _for_building() -> Iterator[str]:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        yield "python3-venv"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        yield "python3-dev"
    if shutil.which("gcc") is None:
        yield "gcc"
    if not Path("/usr/include/stdio.h").exists():
        yield "libc6-dev"
    if shutil.which("dtc") is None:
        yield "device-tree-compiler"
    if shutil.which("git") is None:
        yield "git"


def _for_the_lab() -> list[str]:
    if platform.machine() == "aarch64" and Path("/dev/kvm").exists():
        return []  # an arm64 host needs no emulated one
    told = subprocess.run(
        [sys.executable, "-m", "tests.lab", "doctor"],
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return told.stdout.split()


def _install(packages: list[str]) -> None:
    get = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--no-install-recommends", *packages]):
        subprocess.run([*get, *words], stdin=subprocess.DEVNULL, check=True, env=environment)


def provide(missing: list[str]) -> int:
    """Installs these packages; 1 and a word to the user where that cannot be."""
    if not missing:
        return 0
    print(f"missing Debian packages: {' '.join(missing)}", flush=True)
    command = f"apt-get install {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        print("This is no Debian: install what your system has for these, then try again.")
        return 1
    if os.geteuid() != 0:
        print(f"Only root can install them: run 'sudo {command}', then try again.")
        return 1
    try:
        _install(missing)
    except subprocess.CalledProcessError as failure:
        print(f"'{' '.join(failure.cmd)}' failed. Put it right by hand: {command}")
        return 1
    return 0


def main() -> int:
    """Installs what is missing, as :func:`provide` does."""
    return provide([*_for_building(), *_for_the_lab()])


if __name__ == "__main__":
    sys.exit(main())
