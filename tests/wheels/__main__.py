# SPDX-License-Identifier: Apache-2.0
"""Make wheels and prove them: `python -m tests.wheels`, or `make wheels`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.lab import processes
from tests.lab.errors import Interrupted, LabError
from tests.lab.tree import TOP
from tests.wheels import audit, bare, fresh
from tests.wheels.build import architectures, build


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.wheels", description=__doc__)
    parser.add_argument("--into", type=Path, default=TOP / "dist", metavar="DIR", help="or dist/")
    parser.add_argument(
        "--bare-venv",
        action="store_true",
        help="then run the arm64 tests with the wheel alone, on an emulated host without network",
    )
    parser.add_argument(
        "--record", type=Path, default=os.devnull, metavar="FILE", help="what became of each test"
    )
    return parser.parse_args()


def _make(arch: str, into: Path) -> Path:
    """Puts a good wheel into a folder, in place of older ones for its architecture."""
    with tempfile.TemporaryDirectory(prefix="pykvm-wheel-") as scratch:
        wheel = build(arch, Path(scratch))
        if found := list(audit.problems(wheel, arch)):
            lines = "".join(f"\n  {problem}" for problem in found)
            raise LabError(f"{wheel.name} must not be handed out:{lines}")
        into.mkdir(parents=True, exist_ok=True)
        for old in into.glob(f"pykvm_arm64-*_{arch}.whl"):
            old.unlink()
        placed = Path(shutil.copyfile(wheel, into / wheel.name))
    print(os.path.relpath(placed), flush=True)
    return placed


def main() -> int:
    """Makes and proves; 1 and the reason if something is wrong."""
    options = _options()
    processes.take_signals()
    try:
        wheels = {arch: _make(arch, options.into) for arch in architectures()}
        own = next(iter(wheels.values()))
        print(f"installed in a new environment:\n{fresh.install(own)}", flush=True)
        if not options.bare_venv:
            return 0
        house = TOP / "build/wheelhouse"
        names = [path.name for path in bare.wheelhouse(wheels["aarch64"], house)]
        print("for the emulated host:", *names, sep="\n", flush=True)
        bare.become_the_run(house, options.record)
    except LabError as error:
        print(f"wheels: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        return 128 + error.signum
    finally:
        processes.end_all()


if __name__ == "__main__":
    sys.exit(main())
