# SPDX-License-Identifier: Apache-2.0
"""Kernel modules with what they depend on, resolved here so that only the wanted ones travel."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab import cache
from tests.lab.cpio import Writer
from tests.lab.errors import LabError, UsageError
from tests.lab.processes import run_bytes

LOAD_LIST = "lab/modules"  # paths in the order of loading, read by the emulated host's init
_SUFFIX = re.compile(r"\.ko(\.xz|\.zst|\.gz)?$")
_HELPERS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def plain_name(file: str) -> str:
    """A module's name as the kernel has it, from its file's name or from either spelling."""
    return _SUFFIX.sub("", file.rsplit("/", 1)[-1]).replace("-", "_")


def contents(path: Path) -> bytes:
    """A module's file, uncompressed."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix in (".zst", ".gz"):
        tool = {".zst": "zstd", ".gz": "gzip"}[path.suffix]
        return run_bytes([tool, "-dc", path], f"uncompressing {path.name}")
    return path.read_bytes()


def needs(module: bytes) -> list[str]:
    """The names of the modules that one needs, from its .modinfo section."""
    found: list[str] = []
    for field in (b"depends=", b"softdep=pre: "):
        for value in re.findall(rb"\0" + field + rb"([^\0]*)\0", module):
            found += [plain_name(each) for each in re.split(r"[, ]+", value.decode()) if each]
    return found


def in_loading_order(wanted: Iterable[str], tree: Path) -> list[tuple[Path, bytes]]:
    """The wanted modules and what they need, each after its needs; built-in ones are left out."""
    files = {plain_name(path.name): path for path in sorted(tree.glob("kernel/**/*.ko*"))}
    listing = tree / "modules.builtin"
    lines = listing.read_text().split() if listing.exists() else []
    built_in = {plain_name(line) for line in lines}
    order: dict[str, tuple[Path, bytes]] = {}

    def visit(name: str, needed_by: str | None, path: tuple[str, ...]) -> None:
        if name in built_in or name in order or name in path:
            return
        if name not in files:
            if needed_by is not None:
                return  # a soft dependency of another configuration
            raise UsageError(
                f"--module {name}: kernel {tree.name} has no such module, not even built in."
            )
        data = contents(files[name])
        for need in needs(data):
            visit(need, name, (*path, name))
        order[name] = (files[name], data)

    for name in wanted:
        visit(plain_name(name), None, ())
    return list(order.values())


def archive(tree: Path, kernel: str, load: Sequence[str], carry: Sequence[str] = ()) -> Path | None:
    """A cpio archive that loads `load` and brings `carry` as /lab/NAME.ko; None if empty."""

    def build(into: Path) -> None:
        loaded = in_loading_order(load, tree)
        carried = in_loading_order(carry, tree)
        top = f"usr/lib/modules/{tree.name}"
        with open(into / "cpio", "wb") as stream:
            writer = Writer(stream)
            made: set[str] = set()
            lines = []
            for path, data in loaded:
                name = f"{top}/{_SUFFIX.sub('.ko', str(path.relative_to(tree)))}"
                for parent in reversed(Path(name).parents):
                    if str(parent) not in (".", "usr", "usr/lib", *made):
                        made.add(str(parent))
                        writer.directory(str(parent))
                writer.file(name, data)
                lines.append(f"/{name}\n")
            for helper in _HELPERS if loaded else ():
                if (tree / helper).exists():
                    writer.file(f"{top}/{helper}", (tree / helper).read_bytes())
            if loaded:
                writer.file(LOAD_LIST, "".join(lines).encode())
            for path, data in carried:
                writer.file(f"lab/{plain_name(path.name)}.ko", data)
            writer.close()
        if len(carried) > len(set(carry)):
            raise LabError(f"kernel {tree.name}: {' '.join(carry)} have grown dependencies.")
        (into / "empty").write_text("" if loaded or carried else "yes")

    if not load and not carry:
        return None
    made = cache.item("archives", f"modules-{cache.digest(kernel, load, carry)}", build)
    return None if (made / "empty").read_text() else made / "cpio"
