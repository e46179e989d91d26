# SPDX-License-Identifier: Apache-2.0
"""A wheel in a new environment on this machine, with what its metadata asks for."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.lab.processes import run
from tests.wheels.inside import WHERE

# Two calls into the compiled module, on any machine: with /dev/kvm or without.
_USE = """
from pykvm import EventFd, _kvm
with EventFd() as event:
    event.signal()
    assert event.read() == 1
assert _kvm.lib.KVM_GET_API_VERSION == 0xAE00
from pykvm.probe import collect, schema
assert collect("/dev/no-such-kvm").schema == schema()["properties"]["schema"]["const"]
"""


def install(wheel: Path) -> str:
    """Installs and uses it; a word on where it was imported from."""
    with tempfile.TemporaryDirectory(prefix="pykvm-fresh-") as scratch:
        run([sys.executable, "-m", "venv", scratch], "making an environment")
        python = Path(scratch, "bin/python")
        pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check"]
        run([*pip, "install", "--quiet", wheel], f"installing {wheel.name}")
        # In a folder where no other pykvm lies; PYTHONPATH could name one.
        isolated: list[str | Path] = [python, "-I", "-c"]
        run([*isolated, _USE], "using the installed wheel", cwd=Path(scratch))
        words = [*isolated, WHERE, "pykvm", "cffi", "rich"]
        return run(words, "importing the installed wheel", cwd=Path(scratch)).strip()
