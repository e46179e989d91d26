# SPDX-License-Identifier: Apache-2.0
"""The kernel's own headers, of the oldest and the newest kernel supported, from Debian."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from tests.lab import cache, kernels
from tests.lab.packages import Suite
from tests.oracle.errors import OracleError

Arch = Literal["arm64", "x86_64"]

ARCHES: tuple[Arch, ...] = ("arm64", "x86_64")
TRIPLETS: dict[Arch, str] = {"arm64": "aarch64-linux-gnu", "x86_64": "x86_64-linux-gnu"}

_PACKAGE = "linux-libc-dev"
#: Debian's release with Linux 6.1, the oldest kernel that pykvm supports.
_OLDEST_SUITE = "bookworm"
_VERSION = re.compile(r"^#define LINUX_VERSION_(?:MAJOR|PATCHLEVEL|SUBLEVEL) (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Headers:
    """One kernel's headers for one architecture."""

    arch: Arch
    tree: Path
    #: Nothing that we declare may be missing here.
    newest: bool

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The kernel's version, as the headers themselves tell it."""
        text = (self.tree / "usr/include/linux/version.h").read_text(encoding="ascii")
        return tuple(map(int, _VERSION.findall(text)))

    @property
    def folders(self) -> tuple[Path, Path]:
        """Where the compiler is to look, and nowhere else."""
        include = self.tree / "usr/include"
        return include, include / TRIPLETS[self.arch]

    def __str__(self) -> str:
        return f"Linux {'.'.join(map(str, self.version))} for {self.arch}"


def every() -> list[Headers]:
    """All that declarations are compared with."""
    newest_suite = kernels.find("newest", "4k").suite
    return [
        Headers(arch, _unpacked(suite, arch), suite == newest_suite)
        for suite in (_OLDEST_SUITE, newest_suite)
        for arch in ARCHES
    ]


def _unpacked(suite: str, arch: Arch) -> Path:
    # Newer suites have one package for all architectures: do not fetch it, and its index, twice.
    for debian_arch in ("arm64", "amd64"):
        tree = _package(Suite(suite, debian_arch))
        if (tree / "usr/include" / TRIPLETS[arch] / "asm/kvm.h").exists():
            return tree
    raise OracleError(f"Debian {suite}'s {_PACKAGE} has no asm/kvm.h for {arch}")


def _package(suite: Suite) -> Path:
    def get() -> Path:
        # closure() asks the suite itself; a plain candidate may be an older suite's.
        packages = [each for each in suite.closure([_PACKAGE]) if each.name == _PACKAGE]
        key = f"{packages[0].version}_{suite.arch}"
        return cache.item("kernel-headers", key, lambda into: suite.unpack(packages, into))

    return suite.current(get)
