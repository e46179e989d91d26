# SPDX-License-Identifier: Apache-2.0
"""Assemble the guests: ``cd examples && python3 -m guests.build [--check] [NAME…]``.

An image is the .text section of ``<name>.S`` (there is no other), linked at ``layout.IMAGE_GPA``:
flat, without paths or dates, so the same source gives the same bytes everywhere.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from guests import layout
from guests.images import DIRECTORY, guest_names

CROSS_PREFIX: Final = "aarch64-linux-gnu-"
ASSEMBLE: Final = ("-march=armv8-a", "-Wall", "-Werror")
LINK: Final = (
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--fatal-warnings",
    "-Wl,--build-id=none",
    f"-Wl,-Ttext={layout.IMAGE_GPA:#x}",
)


class BuildError(Exception):
    """An image could not be made; the text says why and what to do."""


def toolchain_prefix() -> str | None:
    """Return what to put before ``gcc`` and ``objcopy``; None if there are none for arm64."""
    prefixes = [CROSS_PREFIX] + ([""] if platform.machine() == "aarch64" else [])
    for prefix in prefixes:
        if shutil.which(f"{prefix}gcc") and shutil.which(f"{prefix}objcopy"):
            return prefix
    return None


def layout_header() -> str:
    """Return ``layout.h``: every number of layout.py as a ``#define``."""
    return "".join(f"#define {name} {value:#x}\n" for name, value in layout.constants().items())


def assemble(source: Path) -> bytes:
    """Return the image of one guest."""
    prefix = toolchain_prefix()
    if prefix is None:
        raise BuildError(
            f"{CROSS_PREFIX}gcc is not installed: install the Debian packages "
            "gcc-aarch64-linux-gnu and binutils-aarch64-linux-gnu"
        )
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        (scratch / "layout.h").write_text(layout_header(), encoding="ascii")
        elf, flat = scratch / "guest.elf", scratch / "guest.bin"
        _run([f"{prefix}gcc", *ASSEMBLE, *LINK, f"-I{scratch}", "-o", str(elf), str(source)])
        _run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", str(elf), str(flat)])
        image = flat.read_bytes()
    if len(image) > layout.IMAGE_MAX_SIZE:
        raise BuildError(
            f"{source.name}: the image has {len(image)} bytes, and there is room for "
            f"{layout.IMAGE_MAX_SIZE} (IMAGE_MAX_SIZE in layout.py)"
        )
    return image


def main(arguments: list[str] | None = None) -> int:
    """Build, or with ``--check`` compare. Returns the exit status, 1 for an image out of date."""
    parser = argparse.ArgumentParser("python3 -m guests.build", description="Assemble the guests.")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(guest_names())):
        parser.error(f"there is no source for: {', '.join(unknown)}")
    stale = False
    try:
        for name in options.names or guest_names():
            image = assemble(DIRECTORY / f"{name}.S")
            path = DIRECTORY / f"{name}.bin"
            if path.exists() and path.read_bytes() == image:
                print(f"{path.name} is up to date")
            elif options.check:
                print(f"{path.name} is out of date: run `cd examples && python3 -m guests.build`")
                stale = True
            else:
                path.write_bytes(image)
                print(f"{path.name}: {len(image)} bytes")
    except BuildError as error:
        print(f"guests.build: {error}", file=sys.stderr)
        return 1
    return 1 if stale else 0


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
