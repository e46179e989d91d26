# SPDX-License-Identifier: Apache-2.0
"""What cannot work is told in one line, with exit status 2, before any VM is made."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest
from minivmm import options
from minivmm.endings import BadInput

from tests.unit.vmm.test_disk import partitioned
from tests.unit.vmm.test_image import an_image, with_sections, zboot

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
        ("kernel --uart-address=-0x1000", "not below"),
        ("kernel --uart-address 0x10000000000", "not below"),
        ("kernel --uart-address 0x10000000000000000", "not below"),
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


def test_tables_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(BadInput, match="rich"):
        options.parse(["kernel", "--stats"])
    assert options.parse(["kernel", "--stats", "stages"]).stats == "stages"


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAM, *words], cwd=folder,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


KERNEL = an_image()
_BAD: dict[str, tuple[dict[str, bytes], str, str]] = {
    # What is in which files, what is given, and what is said of it.
    "missing kernel": ({}, "k", "k: no such file"),
    "empty kernel": ({"k": b""}, "k", "k: the file is empty"),
    "truncated kernel": ({"k": with_sections(2 << 20)}, "k", "truncated"),
    "truncated gzip": ({"k": gzip.compress(KERNEL)[:-20]}, "k", "truncated gzip data"),
    "truncated zboot": ({"k": zboot(KERNEL, b"gzip")[:9000]}, "k", "truncated"),
    "x86 kernel": ({"k": b"\0" * 0x202 + b"HdrS" + bytes(99)}, "k", "but one for x86"),
    "another machine's ELF": ({"k": b"\x7fELF" + bytes(99)}, "k", "but an ELF file"),
    "missing initrd": ({"k": KERNEL}, "k --initrd i", "i: no such file"),
    "empty initrd": ({"k": KERNEL, "i": b""}, "k --initrd i", "i: the file is empty"),
    "missing disk": ({"k": KERNEL}, "k --disk d", "disk d: No such file"),
    "disk of odd size": ({"k": KERNEL, "d": bytes(700)}, "k --disk d", "whole sectors"),
    "short disk": ({"k": KERNEL, "d": partitioned(99)}, "k --disk d", "truncated: 1024 bytes"),
    "one disk twice": ({"k": KERNEL, "d": bytes(512)}, "k --disk d --disk d", "in use"),
    "a name too long for a tap": ({"k": KERNEL}, "k --tap averylonginterface", "1 to 15 bytes"),
    "no text as a tap's name": ({"k": KERNEL}, "k --tap \udcff\udcff" + 15 * "x", "1 to 15 bytes"),
    "a name of two lines": ({}, "one\0two", "one two: no such file"),
    "no CPU": ({"k": KERNEL}, "k --cpus 0", "at least one"),
    "less than no CPU": ({"k": KERNEL}, "k --cpus -2", "at least one"),
    "half a CPU": ({"k": KERNEL}, "k --cpus 1.5", "invalid int"),
    "no memory": ({"k": KERNEL}, "k --memory 0", "2 MiB"),
    "odd memory": ({"k": KERNEL}, "k --memory 3M", "2 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD)
def test_the_program_says_it_in_one_line_and_ends_with_2(tmp_path: Path, case: str) -> None:
    files, given, message = _BAD[case]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    done = run(*(word.replace("\0", "\n") for word in given.split()), folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"boot_linux: .*{message}.*\n", done.stderr), done.stderr


def test_help_tells_every_option_and_status() -> None:
    done = run("--help")
    assert done.returncode == 0
    for word in ("--flat", "--dtb-dump", "--disk", "--tap", "--vsock", "--stats", "exit status"):
        assert word in done.stdout
