# SPDX-License-Identifier: Apache-2.0
"""pykvm for free-threaded Python: `python -m tests.freethreaded`, or `make free-threaded`.

A wheel for it is built and looked into, and the tests of threads run on this Python with what a
free-threaded one does otherwise. Then pykvm is installed for a free-threaded one, and they run on
that, without a GIL: what PYKVM_FREE_THREADED names, ``python3.14t`` on PATH, or one that is built.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.freethreaded.build import build
from tests.freethreaded.interpreter import interpreter
from tests.lab import processes
from tests.lab.errors import Interrupted, LabError
from tests.lab.processes import run
from tests.lab.tree import TOP, listed

_KVM = (
    "kick", "kick_loop", "mmio", "mmio_faults", "run_signals", "vcpu_thread", "complete_mmio",
    "coalesced", "dirty_ring", "dirty_log", "irqfd", "irqfd_signals", "ioeventfd", "signals",
    "slots", "one_thread", "orders",
)  # fmt: skip
_UNIT = ("ranges", "eventfd", "scalars", "bitmap", "registers", "memory", "routing")
_TESTS = [
    *(f"tests/kvm/test_{name}.py" for name in _KVM),
    *(f"tests/unit/test_{name}.py" for name in _UNIT),
]
_NAME = "python3.14t"
_VARIABLE = "PYKVM_FREE_THREADED"
#: What the tests import, of which each version must be one that asks for no GIL.
_NEEDED = ("pytest>=8", "hypothesis>=6", "fdt>=0.3.3")


def _test(python: Path, plugin: str, place: Path) -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin, "--host", "native"]
    print(f"testing with {python} and {plugin}", flush=True)
    done = subprocess.run([python, *words, "--kicks", "5000", *_TESTS], cwd=place)
    if done.returncode:
        raise LabError(f"the tests of threads failed (status {done.returncode})")


def _on(program: str, scratch: Path) -> None:
    """The tests, on an interpreter of its own with pykvm installed by pip."""
    place, home = scratch / "tree", scratch / "home"
    for name in listed():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / name, place / name)
    run([program, "-m", "venv", home], f"making an environment with {program}")
    python = home / "bin/python"
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    run([*pip, "--editable", place, *_NEEDED], "installing pykvm for free-threaded Python")
    _test(python, "tests.freethreaded.gil", place)


def main() -> int:
    """Builds and tests; 1 and the reason if something is wrong."""
    processes.take_signals()
    try:
        with tempfile.TemporaryDirectory(prefix="pykvm-free-threaded-") as name:
            print(f"built {build(Path(name)).name}", flush=True)
        _test(Path(sys.executable), "tests.freethreaded.claimed", TOP)
        found = os.environ.get(_VARIABLE) or shutil.which(_NAME) or str(interpreter())
        with tempfile.TemporaryDirectory(prefix="pykvm-free-threaded-") as name:
            _on(found, Path(name))
    except LabError as error:
        print(f"freethreaded: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        return 128 + error.signum
    finally:
        processes.end_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
