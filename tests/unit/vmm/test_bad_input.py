# SPDX-License-Identifier: Apache-2.0
"""What cannot work is told in one line, with exit status 2, before any VM is made."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from minivmm import options
from minivmm.endings import BadInput

PROGRAM = Path(__file__).resolve().parents[3] / "examples" / "boot_linux.py"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: kernel"),
        ("kernel --cpus 0", "at least one"),
        ("kernel --cpus two", "invalid int"),
        ("kernel --memory 0", "2 MiB"),
        ("kernel --memory 3", "2 MiB"),
        ("kernel --memory lots", "no size"),
        ("kernel --memory 2000G", "1 TiB"),
        ("kernel --gic 4", "invalid choice"),
        ("kernel --uart-address here", "no address"),
        ("kernel --uart-address 0x9000001", "multiple"),
        ("kernel --vsock 2", "3 or more"),
        ("kernel --frobnicate", "unrecognized"),
    ],
)
def test_odd_words(words: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        options.parse(words.split())


@pytest.mark.parametrize(
    ("text", "size"), [("256", 256 << 20), ("2G", 2 << 30), ("512M", 512 << 20), ("2GiB", 2 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert options.parse(["kernel", "--memory", text]).memory == size


def test_disks() -> None:
    given = options.parse(["kernel", "--disk", "a,b,ro", "--disk", "c"])
    assert given.disk == [(Path("a,b"), True), (Path("c"), False)]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAM, *map(str, words)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_program_says_it_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "missing")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"boot_linux: {tmp_path}/missing: no such file\n"


def test_a_disk_is_looked_at_before_anything_is_made(tmp_path: Path) -> None:
    head = struct.pack("<8s3Q24x4sI", b"", 0, 1 << 20, 0xA, b"ARMd", 0)
    (tmp_path / "kernel").write_bytes(head.ljust(1 << 20, b"\0"))
    done = run(tmp_path / "kernel", "--disk", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_help_tells_every_option_and_status() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in ("--flat", "--dtb-dump", "--disk", "--tap", "--vsock", "--stats", "exit status"):
        assert word in done.stdout
