# SPDX-License-Identifier: Apache-2.0
"""The examples, run as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *words: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--json", *words],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    return done.returncode, json.loads(lines[0])


@pytest.mark.parametrize("name", ["irqfd_edge", "ioeventfd_doorbell"])
def test_every_signal_arrives(name: str) -> None:
    status, told = run(name, "--count", "200")
    assert status == 0
    assert told.pop("gic") in ("v2", "v3")
    assert told == {
        "example": name, "sent": 200, "taken": 200, "ended": 200, "resampled": None, "lost": 0,
        "spurious": 0,
    }  # fmt: skip


def test_without_the_binding_none_does() -> None:
    status, told = run("irqfd_edge", "--count", "20", "--control")
    assert status == 1
    assert (told["sent"], told["taken"], told["lost"], told["spurious"]) == (20, 0, 20, 0)


def test_hello() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "hello_mmio.py", "--count", "2"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Hello from EL1, line 1\nHello from EL1, line 2\n" in done.stdout


def test_the_gic_can_be_chosen() -> None:
    _, told = run("irqfd_edge", "--count", "1")
    status, again = run("irqfd_edge", "--count", "1", "--gic", told["gic"].removeprefix("v"))
    assert (status, again) == (0, told)
