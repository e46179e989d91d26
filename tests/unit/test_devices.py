# SPDX-License-Identifier: Apache-2.0
"""The table of devices in guests: its scripts fit a command line, its cells say what was told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.devices.__main__ import cells
from tests.devices.kinds import KINDS, Kind, script

#: arm64's COMMAND_LINE_SIZE.
_LONGEST = 2048


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: str(kind.name))
def test_scripts_fit_the_kernels_command_line(kind: Kind) -> None:
    told = script(kind, repeats=5)
    assert '"' not in told
    assert len(f'quiet guest.run="{told}"') < _LONGEST


def test_cells() -> None:
    row: dict[str, Any] = {
        "row": "ahci direct", "found": True, "checksum": True, "written": True, "reads": 2000,
        "guest_interrupts": 1234,
        "counts": {"host": 1, "raised": 2, "acknowledged": 3, "register exits": 0},
        "during": {"exits to userspace": 5}, "outside": 0.015, "milliseconds": [0.5, 0.7, 0.6],
    }  # fmt: skip
    assert cells(row) == [
        *("1", "2", "3", "1,234", "0", "5 of 6,000", "1.5 %", "right", "0.60 (0.50-0.70)")
    ]
    assert cells({"row": "ahci edge"}) == ["-"] * 7 + ["none", "-"]
