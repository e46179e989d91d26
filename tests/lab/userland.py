# SPDX-License-Identifier: Apache-2.0
"""The emulated host's file system: Debian packages, trimmed, byte-compiled, as one cpio archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab import cache, native, progress
from tests.lab.cpio import Writer
from tests.lab.errors import LabError
from tests.lab.packages import Suite
from tests.lab.processes import run

SUITE = native.PYTHON_SUITE
BASE = (
    "python3",
    "python3-cffi-backend",
    "python3-pytest",
    "python3-rich",
    "busybox-static",
    "dash",
    "libc-bin",
    "kmod",
)
# Nothing in here is ever looked at in a lab, and all of it would be held in its memory.
_TRIM = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/zoneinfo",
    "usr/share/perl5",
    "usr/share/debconf",
    "usr/share/python3/debpython",
    "usr/lib/aarch64-linux-gnu/gconv",
    "usr/lib/aarch64-linux-gnu/perl-base",
    "usr/lib/python3.*/idlelib",
    "usr/lib/python3.*/pydoc_data",
    "usr/lib/python3.*/ensurepip",
    "usr/lib/python3.*/turtledemo",
    "usr/lib/python3.*/config-3*",
    "usr/lib/python3.*/test",
    "var",
)
_MERGED = ("bin", "sbin", "lib", "lib64")
_FOLDERS = ("dev", "proc", "sys", "tmp", "run", "root", "src", "out", "mnt", "lab", "var")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost lab\n::1 localhost\n",
    "etc/hostname": "lab\n",
}


def _trim(tree: Path) -> None:
    for pattern in _TRIM:
        for path in tree.glob(pattern):
            cache.remove(path)


def _byte_compile(tree: Path) -> None:
    """Compile every Python file of an unpacked tree: Debian leaves that to installation."""
    progress.say("byte-compiling the emulated host's Python")
    for place in (*tree.glob("usr/lib/python3.*"), *tree.glob("usr/lib/python3/dist-packages")):
        # "unchecked": nothing edits these, and a check would read each source.
        native.python().byte_compile(place, f"/{place.relative_to(tree)}", "unchecked-hash")


def _merge_usr(tree: Path) -> None:
    """Make bin, sbin and lib the links to usr that every package of this suite counts on."""
    for name in _MERGED:
        plain = tree / name
        if plain.is_symlink():
            plain.unlink()
        elif plain.is_dir():
            run(["cp", "-a", f"{plain}/.", tree / "usr" / name], f"merging {name} into usr")
            cache.remove(plain)
    for name in _MERGED[:3]:
        (tree / name).symlink_to(f"usr/{name}")


def base_tree() -> Path:
    """The unpacked and compiled base system."""
    suite = Suite(SUITE)

    def get() -> Path:
        packages = suite.closure(BASE)

        def build(into: Path) -> None:
            suite.unpack(packages, into)
            _trim(into)
            _merge_usr(into)
            for name in _FOLDERS:
                (into / name).mkdir(exist_ok=True)
            for name, text in _FILES.items():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                (into / name).write_text(text)
            (into / "etc/mtab").symlink_to("/proc/self/mounts")
            (into / "usr/bin/sh").unlink(missing_ok=True)
            (into / "usr/bin/sh").symlink_to("dash")
            _byte_compile(into)

        return cache.item("userland", cache.digest(_TRIM, _FOLDERS, _FILES, packages), build)

    return suite.current(get)


def base_archive() -> Path:
    """The base system as a cpio archive."""
    tree = base_tree()

    def build(into: Path) -> None:
        progress.say("packing the emulated host's files")
        with open(into / "cpio", "wb") as stream:
            writer = Writer(stream)
            writer.tree(tree)
            writer.close()

    return cache.item("archives", f"base-{tree.name}", build) / "cpio"


def package_archive(names: Sequence[str]) -> Path:
    """Extra Debian packages, with what they need beyond the base, as a cpio archive."""
    suite = Suite(SUITE)

    def get() -> Path:
        base = set(suite.closure(BASE))
        extra = [each for each in suite.closure([*BASE, *names]) if each not in base]
        if not extra:
            raise LabError(f"{', '.join(names)}: already part of every lab; leave --package out.")

        def build(into: Path) -> None:
            with cache.workdir() as work:
                suite.unpack(extra, work)
                for pattern in _TRIM:
                    if pattern != "var":
                        for path in work.glob(pattern):
                            cache.remove(path)
                _merge_usr(work)
                for name in _MERGED[:3]:
                    (work / name).unlink()
                _byte_compile(work)
                with open(into / "cpio", "wb") as stream:
                    writer = Writer(stream)
                    writer.tree(work)
                    writer.close()

        return cache.item("archives", f"extra-{cache.digest(_TRIM, extra)}", build) / "cpio"

    return suite.current(get)
