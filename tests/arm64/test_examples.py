# SPDX-License-Identifier: Apache-2.0
"""The examples, run as a person runs them."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.properties import holds

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *words],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def run(name: str, *words: str) -> tuple[int, dict[str, Any]]:
    done = example(name, "--json", *words)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    return done.returncode, json.loads(lines[0])


@pytest.mark.parametrize(
    ("words", "resampled"),
    [
        ("irqfd_edge", None),
        ("ioeventfd_doorbell", None),
        ("irqfd_level", 200),
        ("asyncio_device", 200),
        pytest.param("msi_its", None, marks=pytest.mark.needs("its")),
        pytest.param("msi_its --by ioctl", None, marks=pytest.mark.needs("its")),
    ],
)
def test_every_signal_arrives(words: str, resampled: int | None) -> None:
    name, *more = words.split()
    status, told = run(name, "--count", "200", *more)
    assert status == 0
    assert told.pop("gic") in ("v2", "v3")
    assert told == {
        "example": name, "sent": 200, "taken": 200, "ended": 200, "resampled": resampled,
        "lost": 0, "spurious": 0,
    }  # fmt: skip


def test_a_guest_moves_from_process_to_process() -> None:
    status, told = run("migrate", "--count", "3")
    assert status == 0
    each = 4 if told["gic"] == "v3" else 3  # an LPI, too
    assert (told["sent"], told["taken"], told["ended"]) == (3 * each,) * 3
    assert (told["lost"], told["spurious"]) == (0, 0)


def test_a_kernel_that_loses_ends_is_named() -> None:
    """Without an exit between acknowledge and end: exact, or the known fault of some kernels."""
    words = ["--without-mmio", "--count", "300", "--json"]
    done = example("irqfd_level", *words)
    told = json.loads(done.stdout)
    assert (told["lost"], told["spurious"]) == (0, 0)
    if done.returncode == 0:
        assert told["taken"] == told["ended"] == told["resampled"] == 300
        return
    major, minor = map(int, platform.release().split(".")[:2])
    assert (done.returncode, told["gic"]) == (3, "v3")
    assert (major, minor) >= (7, 2), "this kernel was known to be good"
    assert told["taken"] > told["sent"]
    assert "loses the end of a level interrupt" in done.stderr


def test_what_the_host_lacks_is_told_in_a_sentence() -> None:
    lacking = 3 if not holds("vgicv3") else 2
    if holds("vgicv2") and holds("vgicv3"):
        return  # nothing is lacking here
    done = example("irqfd_edge", "--gic", str(lacking))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("irqfd_edge: KVM_CREATE_DEVICE(")
    assert len(done.stderr.splitlines()) == 1


def test_without_the_binding_none_does() -> None:
    status, told = run("irqfd_edge", "--count", "20", "--control")
    assert status == 1
    assert (told["sent"], told["taken"], told["lost"], told["spurious"]) == (20, 0, 20, 0)


@pytest.mark.parametrize("name", ["hello_mmio", "mmio_ring"])
def test_hello(name: str) -> None:
    done = example(name, "--count", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Hello from EL1, line 1\nHello from EL1, line 2\n" in done.stdout


def test_the_gic_can_be_chosen() -> None:
    _, told = run("irqfd_edge", "--count", "1")
    status, again = run("irqfd_edge", "--count", "1", "--gic", told["gic"].removeprefix("v"))
    assert (status, again) == (0, told)
