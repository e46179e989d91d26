# SPDX-License-Identifier: Apache-2.0
"""A machine is saved in the midst of interrupts and restored, again and again: none is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from snapshot import Snapshot

from tests.arm64.moving import Moving

TOP = Path(__file__).resolve().parents[2]

gics = pytest.mark.parametrize(
    ("gic", "its"),
    [
        pytest.param(2, False, id="v2", marks=pytest.mark.needs("vgicv2")),
        pytest.param(3, False, id="v3", marks=pytest.mark.needs("vgicv3")),
        pytest.param(3, True, id="v3-its", marks=pytest.mark.needs("its")),
    ],
)


@gics
def test_nothing_is_lost_or_doubled(gic: int, its: bool) -> None:
    """Five generations, each with interrupts in other states, in one process."""
    moving = Moving(gic, its)
    moving.boot()
    for generation in range(5):
        with moving:
            moving.settle()
            moving.disturb(generation)
            snapshot, notes = Snapshot.of(moving.machine), moving.notes()
        moving = Moving(gic, its)
        moving.resume(snapshot, notes)
    with moving:
        moving.settle()
        assert sum(moving.sent.values()) > 50


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where machines lie between two lives, also from one leg to the next."""
    return tmp_path_factory.mktemp("way")


@gics
def test_nothing_is_lost_on_the_way_to_new_processes(
    gic: int, its: bool, leg: range, way: Path
) -> None:
    """As many generations as ``--generations`` says; ``make migrate`` takes a hundred."""
    folder = way / f"v{gic}{'-its' * its}"
    folder.mkdir(exist_ok=True)
    assert (folder / "notes.json").exists() == bool(leg.start), "the leg before was not finished"
    environment = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'examples'}"}
    life = [sys.executable, "-m", "tests.arm64.moving", str(folder)]
    for generation in leg:
        words = [str(generation), str(gic), "its" if its else "none"]
        done = subprocess.run(
            [*life, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), f"in generation {generation}"
    with Moving(gic, its) as moving:
        moving.resume(Snapshot.read(folder), (folder / "notes.json").read_text("ascii"))
        moving.settle()
        assert sum(moving.sent.values()) > 10 * leg.stop
