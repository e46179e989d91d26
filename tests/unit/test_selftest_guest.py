# SPDX-License-Identifier: Apache-2.0
"""The probe's guests: their words are what their text says."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from guests.build import toolchain_prefix

from pykvm.probe.check import FAILURES
from pykvm.probe.selftest import COUNT, LIMIT
from pykvm.probe.selftestguest import DISTRIBUTOR, INTERFACE, RAM_SIZE, Code
from pykvm.probe.vcpufacts import PMU_CODE


@pytest.mark.needs("arm64_assembler")
@pytest.mark.parametrize(
    "code",
    [*(DISTRIBUTOR + code for code in INTERFACE.values()), PMU_CODE],
    ids=("v2", "v3", "pmu"),
)
def test_the_words_are_what_the_assembler_makes(code: Code, tmp_path: Path) -> None:
    source, made, flat = (tmp_path / name for name in ("guest.S", "guest.o", "guest.bin"))
    source.write_text("".join(f"{text}\n" for _, text in code), encoding="ascii")
    tools = toolchain_prefix() or ""
    subprocess.run([f"{tools}gcc", "-c", "-march=armv8-a", "-o", made, source], check=True)
    subprocess.run([f"{tools}objcopy", "-O", "binary", "-j", ".text", made, flat], check=True)
    words = [word for (word,) in struct.iter_unpack("<I", flat.read_bytes())]
    assert [f"{word:#010x}" for word in words] == [f"{word:#010x}" for word, _ in code]


def test_it_is_small_and_ends() -> None:
    assert 4 * max(len(DISTRIBUTOR + code) for code in INTERFACE.values()) < 0x1_0000 < RAM_SIZE
    assert 0 < LIMIT <= 60
    assert COUNT > 10


def test_failures_are_sentences() -> None:
    for name, meaning in FAILURES.items():
        assert name == name.lower()
        assert meaning.endswith(".")
