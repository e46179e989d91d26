# SPDX-License-Identifier: Apache-2.0
"""What the lab has kept, for a person: `list`, `clean` and `doctor`."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

from tests.lab import cache, cross, emulators, kernels, snapshots
from tests.lab.boot import parts
from tests.lab.errors import LabError
from tests.lab.shapes import ALL_SHAPES, NAMED_SHAPES, Shape

# What has to be there, and the Debian package that brings it.
_PROGRAMS = (
    (emulators.PROGRAM, "qemu-system-arm"),
    (cross.COMPILER, "gcc-aarch64-linux-gnu"),
    ("git", "git"),
    ("apt-get", "apt"),
    ("dpkg", "dpkg"),
    ("gzip", "gzip"),
    ("xz", "xz-utils"),
)
_FILES = (
    (cross.C_LIBRARY, "libc6-dev-arm64-cross"),
    (Path("/usr/share/keyrings/debian-archive-keyring.gpg"), "debian-archive-keyring"),
)


def missing_packages() -> list[str]:
    """Debian packages that the lab needs and this machine lacks."""
    found = [package for program, package in _PROGRAMS if shutil.which(program) is None]
    return found + [package for path, package in _FILES if not path.exists()]


def _size(count: int) -> str:
    return f"{count / (1 << 20):8.0f} MiB"


def _in_words(shape: Shape) -> str:
    bare = replace(shape, devices=(), drives=(), modules=())
    kinds = [device.partition(",")[0] for device in shape.devices]
    return f"{bare}: {', '.join(kinds)}; {len(shape.drives)} drives"


def listing() -> str:
    """The shapes of the test suite, the kernels there are, and what is cached."""
    series: dict[str, str] = {}
    for kernel in kernels.catalogue():
        known = series.setdefault(kernel.series, kernel.page_size)
        if kernel.page_size not in known:
            series[kernel.series] = "4k and 16k"
    lines = ["Kernels (--kernel, --page-size):"]
    lines += [f"  {name:6} {sizes}" for name, sizes in series.items()]
    lines += ["", "Hosts that the test suite runs on, and their snapshots:"]
    cached = {path.name: path for path in snapshots.existing()}
    for shape in ALL_SHAPES:
        path, state = None, "not cached"
        if not snapshots.hold(shape):
            state = "boots cold"
        elif kernels.is_cached(kernels.find(shape.kernel, shape.page_size)):
            name = snapshots.key(shape, parts(shape), emulators.find(shape.qemu))
            path = cached.pop(name, None)
        lines.append(f"  {shape!s:36} {_size(snapshots.allocated(path)) if path else state}")
    lines += ["", "Hosts by name (--shape), with devices for guests; they boot cold:"]
    lines += [f"  {name:22} {_in_words(shape)}" for name, shape in NAMED_SHAPES.items()]
    lines += ["", "Snapshots of other shapes:"] * bool(cached)
    lines += [f"  another shape's {_size(snapshots.allocated(path))}" for path in cached.values()]
    lines += ["", f"In {cache.root()} (PYKVM_LAB_CACHE moves it):"]
    for folder in sorted(path for path in cache.root().iterdir() if path.is_dir()):
        lines.append(f"  {folder.name:12} {_size(snapshots.allocated(folder))}")
    memory = cache.memory_root()
    if memory:
        lines.append(f"In {memory}: {_size(snapshots.allocated(memory)).strip()}")
    return "\n".join(lines)


def clean() -> None:
    """Remove all that the lab has cached."""
    try:
        with cache.lock("users", wait=False):
            for home in snapshots.homes():
                for entry in home.iterdir():
                    if entry.name != "locks":
                        cache.remove(entry)
    except BlockingIOError:
        raise LabError("a lab is running on this cache; end it, then clean.") from None
    memory = cache.memory_root()
    # The directories last; one that stands where only root may remove it stays, empty.
    cache.remove(cache.root() / "locks")
    for top in (memory, cache.root()):
        if top:
            with contextlib.suppress(OSError):
                top.rmdir()
