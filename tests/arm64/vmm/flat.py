# SPDX-License-Identifier: Apache-2.0
"""A few instructions as a guest of the minimal VMM."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from guests import words

from tests.arm64.vmm.linux import PATIENCE, PROGRAM

UART, NOTHING = 0x0900_0000, 0x0B00_0000
OFF, RESET = 0x8400_0008, 0x8400_0009


def program(instructions: Sequence[int], *constants: int) -> bytes:
    """Instructions, then the numbers that ``constant`` loads."""
    filled = [*instructions, *[words.SPIN] * (-len(instructions) % 2)]
    body = [
        word + (len(filled) - at + 2 * (word >> 5 & 0x7FFFF) << 5) - (word & 0x7FFFF << 5)
        if word >> 24 == 0x58 else word
        for at, word in enumerate(filled)
    ]  # fmt: skip
    return struct.pack(f"<{len(body)}I{len(constants)}Q", *body, *constants)


def constant(register: int, number: int) -> int:
    """``ldr x<register>, =<constant number>``; ``program`` knows how far that is."""
    return 0x5800_0000 | number << 5 | register


def say(text: bytes) -> list[int]:
    """x10 is the UART; immediate numbers come by movz."""
    told: list[int] = []
    for byte in text:
        told += [0x5280_0000 | byte << 5 | 11, words.str_w(11, 10)]
    return told


HELLO = [constant(10, 0), *say(b"up\n")]


def psci(number_of_constant: int) -> list[int]:
    return [constant(0, number_of_constant), words.hvc(), words.SPIN]


def command(
    tmp_path: Path, instructions: Sequence[int], *given: str, constants: Sequence[int] = ()
) -> list[str]:
    """The command line for a guest that knows UART, OFF, RESET, and these constants."""
    binary = tmp_path / "flat"
    binary.write_bytes(program(instructions, UART, OFF, RESET, *constants))
    return [sys.executable, str(PROGRAM), str(binary), "--flat", "--memory", "8M", *given]


def run(
    tmp_path: Path, instructions: Sequence[int], *given: str, constants: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(tmp_path, instructions, *given, constants=constants),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def ended(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr
