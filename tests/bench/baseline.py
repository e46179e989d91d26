# SPDX-License-Identifier: Apache-2.0
"""``baseline.c``: how it is compiled, and how its loops are called."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("baseline.c")
NATIVE_COMPILER = "gcc"
ARM64_COMPILER = "aarch64-linux-gnu-gcc"


class CompileError(Exception):
    """There is no C to compare with; the text says what to do."""


def compile_baseline(into: Path, compiler: str) -> Path:
    """A shared object in the folder ``into``."""
    target = into / "baseline.so"
    words = [compiler, "-std=gnu11", "-O2", "-Wall", "-Werror", "-shared", "-fPIC"]
    try:
        subprocess.run([*words, "-o", target, SOURCE], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise CompileError(
            f"{compiler} is not installed; the bench compares with C. As root: apt-get install gcc "
            f"gcc-aarch64-linux-gnu libc6-dev libc6-dev-arm64-cross linux-libc-dev-arm64-cross"
        ) from None
    except subprocess.CalledProcessError as failed:
        raise CompileError(f"{compiler} does not compile {SOURCE}:\n{failed.stderr}") from None
    return target


def compiler_version(compiler: str) -> str:
    """The version of a GCC."""
    words = [compiler, "-dumpfullversion"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class Baseline:
    """The loops of a compiled ``baseline.c``."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path.resolve()))

    def run(self, loop: str, n: int, *arguments: int) -> int:
        """The nanoseconds that ``n`` calls took."""
        function = self._library[loop]
        function.restype = ctypes.c_int64
        spent: int = function(ctypes.c_long(n), *map(ctypes.c_uint64, arguments))
        if spent < 0:
            raise OSError(-spent, f"C's {loop}{arguments}: {os.strerror(-spent)}")
        return spent
