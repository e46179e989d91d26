# SPDX-License-Identifier: Apache-2.0
"""A wheel for free-threaded Python, made without one: by Debian's Python and its headers."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from tests.lab import cross, native
from tests.lab.errors import LabError
from tests.lab.packages import Suite, native_architecture
from tests.lab.processes import run
from tests.wheels.build import copy

#: What only a module that was compiled for it asks the interpreter for.
_ITS_OWN = re.compile(r"\b_Py_(DecRefShared|MergeZeroLocalRefcount)\b")


def build(scratch: Path) -> Path:
    """Makes the wheel, with setup.py and by its build tools, and looks into it."""
    python = native.newest_python()
    headers = cross.python_headers(Suite(native.TESTING_SUITE, native_architecture()))
    copy(scratch / "tree")
    includes = " ".join(f"-I{place}" for place in headers)
    python.run(
        [Path(__file__).with_name("pretend.py"), "bdist_wheel", "--dist-dir", scratch / "made"],
        f"building the wheel for free-threaded Python {python.version}",
        cwd=scratch / "tree",
        environment={
            "CC": "gcc",
            "LDSHARED": "gcc -shared",
            "CFLAGS": f"-O2 -g0 -fPIC -DPy_GIL_DISABLED=1 {includes}",
            "LDFLAGS": "",
        },
    )
    (wheel,) = (scratch / "made").iterdir()
    tag = f"cp{python.version.replace('.', '')}"
    if f"-{tag}-{tag}t-" not in wheel.name:
        raise LabError(f"{wheel.name} is not for free-threaded Python {python.version} alone")
    _check_module(wheel, scratch)
    return wheel


def _check_module(wheel: Path, scratch: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        modules = [name for name in archive.namelist() if name.endswith(".so")]
        if len(modules) != 1 or "abi3" in modules[0]:
            raise LabError(f"{wheel.name} holds {modules}, and not one module of its own version")
        module = archive.extract(modules[0], scratch)
    asked = run(["nm", "-D", "--undefined-only", module], "looking into the module")
    if not _ITS_OWN.search(asked):
        raise LabError(f"{modules[0]} counts references as if there were a GIL")
