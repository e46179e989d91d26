# SPDX-License-Identifier: Apache-2.0
"""Debian programs for this machine, run out of the cache with the C library that they came with.

So a newer QEMU, and the very Python and cffi that the emulated host has, run on an older system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache
from tests.lab.errors import LabError
from tests.lab.packages import Suite, native_architecture
from tests.lab.processes import run

PYTHON_SUITE = "trixie"
TESTING_SUITE = "testing"


def fetched(suite_name: str, names: Sequence[str], kind: str) -> Path:
    """An unpacked tree of packages for this machine, with all that they need."""
    suite = Suite(suite_name, native_architecture())

    def get() -> Path:
        packages = suite.closure(names)
        key = cache.digest(suite.arch, packages)
        return cache.item(kind, key, lambda into: suite.unpack(packages, into))

    return suite.current(get)


def words(tree: Path, program: str) -> list[str]:
    """The command that runs a program of an unpacked tree."""
    loaders = [path for path in sorted(tree.glob("usr/lib*/**/ld-linux-*.so.*")) if path.is_file()]
    if not loaders:
        raise LabError(f"{tree} holds no C library. `python3 -m tests.lab clean`, then try again.")
    folders = {str(path.parent) for path in tree.glob("usr/lib/*-linux-gnu/**/*.so.*")}
    library_path = ":".join(sorted(folders, key=len))
    return [str(loaders[0]), "--library-path", library_path, str(tree / program)]


@dataclass(frozen=True)
class Python:
    """The emulated host's version of Python, for this machine, with cffi."""

    tree: Path

    @property
    def version(self) -> str:
        """As in the names of its programs: 3.13."""
        return self._program.name.removeprefix("python")

    @property
    def _program(self) -> Path:
        return next(self.tree.glob("usr/bin/python3.*[0-9]")).relative_to(self.tree)

    def run(
        self,
        arguments: Sequence[str | Path],
        purpose: str,
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run it to its end."""
        own = {
            "PYTHONHOME": str(self.tree / "usr"),
            "PYTHONPATH": str(self.tree / "usr/lib/python3/dist-packages"),
        }
        command = [*words(self.tree, str(self._program)), "-B", *arguments]
        run(command, purpose, cwd=cwd, env={**own, **(environment or {})})

    def byte_compile(self, place: Path, inside: str, mode: str) -> None:
        """Compile the Python files under `place`, which the emulated host calls `inside`."""
        self.run(
            [
                "-m",
                "compileall",
                "-q",
                "-f",
                "--invalidation-mode",
                mode,
                "-s",
                place,
                "-p",
                inside,
                place,
            ],
            "byte-compiling",
        )


def python() -> Python:
    """Fetch it."""
    return Python(fetched(PYTHON_SUITE, ["python3", "python3-cffi"], "python"))


def newest_python() -> Python:
    """The one of Debian's testing, which can also build wheels."""
    names = ["python3", "python3-cffi", "python3-setuptools", "python3-wheel"]
    return Python(fetched(TESTING_SUITE, names, "newest-python"))
