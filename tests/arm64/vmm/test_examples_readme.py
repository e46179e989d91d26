# SPDX-License-Identifier: Apache-2.0
"""examples/README.md shows what its commands print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arm64.vmm.linux import PATIENCE, PROGRAM

_README = PROGRAM.with_name("README.md")
_SHOWN = dict(
    re.findall(
        r"```\n\$ python3 (examples/\w+\.py.*?)\n(.*?)```",
        _README.read_text(encoding="utf-8").replace("\\\n", ""),
        re.DOTALL,
    )
)
#: These boot what a user brings.
_NEEDING_FILES = ("boot_linux", "assign_device")
_COMMANDS = [line for line in _SHOWN if Path(line.split()[0]).stem not in _NEEDING_FILES]


def test_every_example_is_told_of() -> None:
    told = _README.read_text(encoding="utf-8")
    for path in PROGRAM.parent.glob("*.py"):
        assert path.name in told


@pytest.mark.needs("its")
@pytest.mark.parametrize("line", _COMMANDS)
def test_an_example_prints_what_the_readme_shows(line: str) -> None:
    done = subprocess.run(
        [sys.executable, *line.split()], cwd=PROGRAM.parents[1],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == _SHOWN[line]
