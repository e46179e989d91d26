# SPDX-License-Identifier: Apache-2.0
"""What travels to the host for one job: the working tree, the built module, given files."""

from __future__ import annotations

import importlib.util
import io
import os
import tarfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.lab import cross
from tests.lab.errors import UsageError
from tests.lab.processes import run

TOP = Path(__file__).resolve().parents[2]
# Packages of plain Python that programs of the tree need and Debian lacks; taken from this Python.
_BROUGHT = ("fdt",)
_SITE = "usr/lib/python3/dist-packages"
HOME = "src"  # where the tree lies in the emulated host, below /


def listed(top: Path = TOP) -> list[Path]:
    """The tree's files: tracked ones and new ones that are not ignored, as far as they exist."""
    told = run(
        [
            "git",
            "-c",
            f"safe.directory={top}",
            "-C",
            top,
            "ls-files",
            "-co",
            "--exclude-standard",
            "-z",
            ".",
        ],
        "listing the working tree",
    )
    names = sorted({name for name in told.split("\0") if name})
    return [Path(name) for name in names if os.path.lexists(top / name)]


def console_scripts(top: Path = TOP) -> dict[str, str]:
    """The commands that installing the project would put on PATH, from pyproject.toml."""
    try:
        project = tomllib.loads((top / "pyproject.toml").read_text()).get("project", {})
    except FileNotFoundError:
        return {}
    scripts: dict[str, str] = project.get("scripts", {})
    return scripts


def script(entry: str) -> bytes:
    """A program that calls an entry point such as pykvm.cli:main."""
    module, _, function = entry.partition(":")
    return (
        f"#!/usr/bin/python3\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    ).encode()


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def brought() -> list[Path]:
    """The folders of packages that come along, as far as this Python has them."""
    specs = [importlib.util.find_spec(name) for name in _BROUGHT]
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]


def parse_file(word: str) -> tuple[Path, str]:
    """SRC:DST of --file."""
    source, colon, target = word.rpartition(":")
    if not colon or not target.startswith("/"):
        raise UsageError(f"--file {word}: give SRC:DST with an absolute DST in the host.")
    if not Path(source).exists():
        raise UsageError(f"--file {word}: {source} does not exist.")
    return Path(source), target


def payload(
    install: bool,
    files: Sequence[tuple[Path, str]],
    *,
    traced: bool = False,
    slower: str = "",
) -> bytes:
    """The job's files as a tar archive with paths from /."""
    names = [name for name in listed() if not (TOP / name).is_dir()]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in names:
            archive.add(TOP / name, f"{HOME}/{name}", recursive=False, filter=_owned_by_root)
        if install:
            cdefs = [name for name in names if name.parts[0] == "cdefs"]
            module = cross.compiled_module(TOP, cdefs, traced=traced, slower=slower)
            archive.add(module, f"{HOME}/pykvm/{module.name}", filter=_owned_by_root)
            sources = [name for name in names if name.suffix == ".py"]
            archive.add(cross.bytecode(TOP, sources, f"/{HOME}"), HOME, filter=_owned_by_root)
            for package in brought():
                names = sorted(path.relative_to(package.parent) for path in package.glob("*.py"))
                for name in names:
                    archive.add(package.parent / name, f"{_SITE}/{name}", filter=_owned_by_root)
                compiled = cross.bytecode(package.parent, names, f"/{_SITE}")
                archive.add(compiled, _SITE, filter=_owned_by_root)
            for command, entry in console_scripts().items():
                _add_bytes(archive, f"usr/local/bin/{command}", script(entry), 0o755)
        for source, target in files:
            archive.add(source, target.lstrip("/"), filter=_owned_by_root)
    return stream.getvalue()
