# SPDX-License-Identifier: Apache-2.0
"""A free-threaded Python, built from Debian's source of it: Debian has no such package."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

from tests.lab import cache, progress
from tests.lab.errors import LabError
from tests.lab.packages import Vanished
from tests.lab.processes import run
from tests.lab.sources import archive
from tests.runner import prerequisites

_HELPER = "/usr/lib/apt/apt-helper"
_KIND = "free-threaded"
_SERIES = "3.14"
#: SHA256 of each orig.tar.xz. An archive has one or two of them at a time: any will do.
_SOURCES = {
    "3.14.10": "de414a57119abef52784d8993e341d53aed635fc2b05c2607d9f98a2c5b72032",
    "3.14.9": "e02d9ac21cebda6e46435369744a92c65cc7cd8669697694122cf97ffacd1e53",
    "3.14.8": "c2215904f02b175596dc49351585104f4bc20341e1c47378b26a2c274360ce73",
    "3.14.7": "3b48dac8fb59f62eaa67ac83c1eb12bda1b7a08406dd286e252c11a66be27f81",
}
_CONFIGURE = ("--disable-gil", "--without-ensurepip", "--disable-test-modules")
#: What pip and the tests' tools cannot do without, and the headers that it is built with.
_MODULES = {
    "ssl": ("libssl-dev", "/usr/include/openssl/ssl.h"),
    "zlib": ("zlib1g-dev", "/usr/include/zlib.h"),
    "ctypes": ("libffi-dev", "/usr/include/*/ffi.h"),
}


def interpreter() -> Path:
    """Its program, built unless it is in the cache; LabError where that cannot be."""
    for version in _SOURCES:
        if (cache.root() / _KIND / _key(version)).is_dir():
            return _made(version)
    _provide_headers()
    for version in _SOURCES:
        with contextlib.suppress(Vanished):
            return _made(version)
    raise LabError(f"the archive has none of these versions of Python: {', '.join(_SOURCES)}")


def _key(version: str) -> str:
    return cache.digest(version, _CONFIGURE, _MODULES)


def _made(version: str) -> Path:
    home = cache.item(_KIND, _key(version), functools.partial(_make, version))
    return home / "bin" / f"python{_SERIES}t"


def _provide_headers() -> None:
    there = Path("/")
    missing = [package for package, header in _MODULES.values() if not any(there.glob(header[1:]))]
    if prerequisites.provide(missing):
        raise LabError(f"Python is not built without {' '.join(missing)}")


def _make(version: str, into: Path) -> None:
    name = f"python{_SERIES}_{version}.orig.tar.xz"
    uri = f"{archive().uri.rstrip('/')}/pool/main/p/python{_SERIES}/{name}"
    with cache.workdir() as work:
        progress.say(f"fetching the source of Python {version}")
        checksum = f"SHA256:{_SOURCES[version]}"
        try:
            run([_HELPER, "download-file", uri, work / name, checksum], f"fetching {name}")
        except LabError as reason:
            raise Vanished(str(reason)) from None
        run(["tar", "-xf", work / name, "-C", work], f"unpacking {name}")
        source = work / f"Python-{version}"
        progress.say(f"building Python {version} without a GIL: some minutes")
        run([source / "configure", *_CONFIGURE, f"--prefix={into}"], "configuring", cwd=source)
        run(["make", "-s", f"-j{os.cpu_count() or 1}"], "building Python", cwd=source)
        run(["make", "-s", "install"], "installing Python", cwd=source)
    # Whatever could not be built was left out in silence.
    program = into / "bin" / f"python{_SERIES}t"
    run([program, "-c", f"import {', '.join(_MODULES)}"], "looking at the Python that was built")
