# SPDX-License-Identifier: Apache-2.0
"""Debian's arm64 kernels: which there are, and the boot image and modules of one."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache
from tests.lab.errors import LabError, UsageError
from tests.lab.packages import Package, Suite

# The first suite with a wanted X.Y wins, and in it the highest version.
SUITES = ("bookworm", "trixie", "trixie-backports", "sid")
NEWEST_SUITES = ("trixie-backports", "sid")
_NAME = re.compile(r"linux-image-(\d+\.\d+[^-]*(?:-\d+)?)-arm64(-16k)?")


@dataclass(frozen=True)
class Kernel:
    """One kernel package."""

    package: str
    suite: str
    page_size: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers, to compare."""
        return tuple(int(part) for part in re.findall(r"\d+", self.release))

    @property
    def series(self) -> str:
        """X.Y."""
        return ".".join(map(str, self.numbers[:2]))

    @property
    def release(self) -> str:
        """What uname -r says, without the flavour."""
        found = _NAME.fullmatch(self.package)
        return found[1] if found else ""


def kernels_in(names: list[str], suite: str) -> list[Kernel]:
    """The plain and the 16 KiB-page kernels among package names: no -rt, -cloud, -dbg."""
    found = ((name, _NAME.fullmatch(name)) for name in names)
    return [Kernel(name, suite, "16k" if m[2] else "4k") for name, m in found if m]


def catalogue(suites: Sequence[str] = SUITES) -> list[Kernel]:
    """Every kernel that these suites have today, the highest version first."""
    found: list[Kernel] = []
    for name in suites:
        suite = Suite(name)
        memory = cache.root() / "apt" / f"kernels-{name}.json"
        if memory.exists() and suite.unchanged_since(memory):
            found += [Kernel(*each) for each in json.loads(memory.read_text())]
        else:
            here = kernels_in(suite.names("linux-image-"), name)
            cache.write(memory, json.dumps([(k.package, k.suite, k.page_size) for k in here]))
            found += here
    return sorted(found, key=lambda k: k.numbers, reverse=True)


def find(wanted: str, page_size: str) -> Kernel:
    """The kernel for `--kernel` (X.Y, a full version, or newest) and `--page-size`."""
    # One suite after the other: each index is a download of its own.
    for suites in [NEWEST_SUITES] if wanted == "newest" else [(name,) for name in SUITES]:
        for kernel in catalogue(suites):
            names = (kernel.series, kernel.release, "newest")
            if kernel.page_size == page_size and wanted in names:
                return kernel
    there = {k.series: k.numbers for k in catalogue() if k.page_size == page_size}
    raise UsageError(
        f"Debian has no arm64 kernel {wanted} with {page_size} pages today. "
        f"There are: {', '.join(sorted(there, key=lambda s: there[s][:2]))}, or newest."
    )


def plain_image(data: bytes) -> bytes:
    """The arm64 Image in a vmlinuz, which may be gzipped."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[0x38:0x3C] != b"ARMd" and data[4:8] != b"zimg":
        raise LabError("the kernel package holds no arm64 boot image that the lab knows.")
    return data


def _parts(suite: Suite, package: str, prefixes: tuple[str, ...]) -> list[Package]:
    # From 7.x linux-image-* is empty and depends on linux-binary-* and linux-modules-*.
    found, depends = suite.candidate(package)
    split = [name for name in depends if name.startswith(prefixes)]
    return [suite.candidate(name)[0] for name in split] or [found]


def _fetch(kernel: Kernel, kind: str, prefix: str) -> Path:
    suite = Suite(kernel.suite)

    def get() -> Path:
        parts = suite.remembered(
            f"{kind}.{kernel.package}", lambda: _parts(suite, kernel.package, (prefix,))
        )

        def build(into: Path) -> None:
            with cache.workdir() as work:
                suite.unpack(parts, work)
                images = [*work.glob("boot/vmlinuz-*"), *work.glob("usr/lib/modules/*/vmlinuz")]
                images += work.glob("lib/modules/*/vmlinuz")
                for image in images[:1]:
                    (into / "Image").write_bytes(plain_image(image.read_bytes()))
                for tree in (*work.glob("usr/lib/modules/*"), *work.glob("lib/modules/*")):
                    if (tree / "kernel").is_dir():
                        shutil.move(tree, into / tree.name)

        return cache.item("kernels", f"{parts[0].name}_{parts[0].version}", build)

    return suite.current(get)


def is_cached(kernel: Kernel) -> bool:
    """Whether a boot of it needs no download."""
    folder = cache.root() / "kernels"
    binary = kernel.package.replace("linux-image-", "linux-binary-", 1)
    return any(any(folder.glob(f"{name}_*/Image")) for name in (kernel.package, binary))


def image(kernel: Kernel) -> Path:
    """The kernel's boot image."""
    path = _fetch(kernel, "image", "linux-binary-") / "Image"
    if not path.exists():
        raise LabError(f"Debian's package {kernel.package} holds no boot image.")
    return path


def modules_at_hand(kernel: Kernel) -> Path | None:
    """The directory of modules if it came with the image; else it is a large download."""
    tree = next(_fetch(kernel, "image", "linux-binary-").glob("*/kernel"), None)
    return tree.parent if tree else None


def module_tree(kernel: Kernel) -> Path:
    """The kernel's directory of modules, as in /lib/modules; its name is the full release."""
    at_hand = modules_at_hand(kernel)
    if at_hand:
        return at_hand
    tree = next(_fetch(kernel, "modules", "linux-modules-").glob("*/kernel"), None)
    if tree is None:
        raise LabError(f"Debian's package {kernel.package} holds no modules.")
    return tree.parent
