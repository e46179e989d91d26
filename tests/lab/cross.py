# SPDX-License-Identifier: Apache-2.0
"""pykvm for the emulated host: the compiled module for arm64, and the tree's bytecode."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.lab import cache, native, progress
from tests.lab.errors import LabError
from tests.lab.packages import Package, Suite
from tests.lab.processes import run

COMPILER = "aarch64-linux-gnu-gcc"
C_LIBRARY = Path("/usr/aarch64-linux-gnu/include/stdio.h")
MODULE = "_kvm.abi3.so"
#: What the test build includes.
TRACE = Path("tests/coverage/trace.c")
#: Puts so many instructions before each call of a wrapper from Python, and changes nothing else: a
#: loop of two, a subtraction and a branch.
_SLOWER = """#define {name}(...) \\
	(({{ for (unsigned long rest = {count} / 2; rest; rest--) \\
		__asm__ volatile("" : "+r"(rest)); }}), {name}(__VA_ARGS__))
"""
_FLAGS = ("-O2", "-std=gnu11", "-shared", "-fPIC", "-DPy_LIMITED_API=0x030b0000")


def content_key(top: Path, names: Sequence[Path]) -> str:
    """A name for the contents of some files of a tree."""
    total = hashlib.sha256()
    for name in names:
        data = (top / name).read_bytes()
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()[:16]


def compiler() -> Path:
    """The C compiler for arm64; LabError if it, or its C library, is missing."""
    found = shutil.which(COMPILER)
    if found is None or not C_LIBRARY.exists():
        raise LabError(
            "no C compiler for arm64. As root: apt-get install --no-install-recommends "
            "gcc-aarch64-linux-gnu libc6-dev-arm64-cross   (or --no-install, to go without pykvm)"
        )
    return Path(found)


def python_headers(suite: Suite | None = None) -> list[Path]:
    """Where a compiler is to look for Python.h and what it includes: of the host, or of a suite."""
    suite = suite or Suite(native.PYTHON_SUITE)

    def resolve() -> list[Package]:
        _, depends = suite.candidate("libpython3-dev")
        names = [name for name in depends if name.startswith("libpython3.")]
        return [suite.candidate(name)[0] for name in names if name.endswith("-dev")]

    def get() -> Path:
        packages = suite.remembered("headers", resolve)

        def build(into: Path) -> None:
            with cache.workdir() as work:
                suite.unpack(packages, work)
                shutil.move(work / "usr/include", into / "include")

        return cache.item("headers", cache.digest(suite.arch, packages), build)

    include = suite.current(get) / "include"
    return [*include.glob("python3.*"), include]


def compiled_module(
    top: Path, cdefs: Sequence[Path], *, traced: bool = False, slower: str = ""
) -> Path:
    """The tree's compiled module for arm64, built anew when anything in cdefs/ has changed.

    ``traced``: the test build, which records the calls that it makes. ``slower``: one in which a
    wrapper costs more instructions, as ``get_one_reg:107``.
    """
    gcc = compiler()
    headers = python_headers()
    python = native.python()
    flags = (*_FLAGS, f'-DPYKVM_TRACE="{top / TRACE}"') if traced else _FLAGS
    seen = gcc.stat()
    tools = (seen.st_size, seen.st_mtime_ns, [str(place) for place in headers], python.tree.name)

    def build(into: Path) -> None:
        progress.say("building pykvm for arm64")
        with cache.workdir() as work:
            source = work / "_kvm.c"
            last: list[str] = []
            if slower:
                name, _, count = slower.partition(":")
                header = work / "slower.h"
                header.write_text(_SLOWER.format(name=name, count=int(count)))
                last = [f'-DPYKVM_LAST="{header}"']
            python.run([top / "cdefs/build.py", "--emit-c", source], "writing pykvm's C source")
            run(
                [
                    gcc,
                    *flags,
                    *last,
                    *(f"-I{place}" for place in headers),
                    source,
                    "-o",
                    into / MODULE,
                ],
                "compiling pykvm for arm64",
                env={"TMPDIR": str(work)},
            )

    files = [*cdefs, TRACE] if traced else cdefs
    key = cache.digest(content_key(top, files), flags, tools, slower)
    return cache.item("modules", key, build) / MODULE


def bytecode(top: Path, names: Sequence[Path], inside: str) -> Path:
    """A __pycache__ for each Python file: compiling them is slow in the emulated host."""
    python = native.python()

    def build(into: Path) -> None:
        progress.say("byte-compiling the working tree")
        with cache.workdir() as work:
            for name in names:
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(top / name, work / name)
            # "checked": a command that edits a file must see its edit.
            python.byte_compile(work, inside, "checked-hash")
            for made in work.rglob("*.pyc"):
                target = into / made.relative_to(work)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(made, target)

    key = cache.digest(content_key(top, names), python.tree.name)
    return cache.item("bytecode", key, build)
