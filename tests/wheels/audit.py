# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a wheel: each problem in words, none if it may be handed out."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Collection, Iterator
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

import pykvm
from tests.lab.processes import run
from tests.lab.tree import TOP
from tests.wheels.build import sources

MODULE = "pykvm/_kvm.abi3.so"
#: The oldest C library that the README promises to run on.
OLDEST_GLIBC = (2, 17)
_MACHINES = {"aarch64": "AArch64", "x86_64": "Advanced Micro Devices X86-64"}
_METADATA = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt")
_PLATFORM = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")


def expected_files() -> set[str]:
    """What a wheel of this tree holds, no more and no less."""
    info = f"pykvm_arm64-{pykvm.__version__}.dist-info"
    package = {str(name) for name in sources() if name.parts[0] == "pykvm"}
    return {*package, MODULE, *(f"{info}/{name}" for name in _METADATA)}


def contents(names: Collection[str], expected: Collection[str]) -> Iterator[str]:
    """Files that are missing or do not belong there."""
    names = {name for name in names if not name.endswith("/")}
    for name in sorted(set(expected) - names):
        yield f"it lacks {name}"
    for name in sorted(names - set(expected)):
        yield f"{name} does not belong into it"


def metadata(text: bytes) -> Iterator[str]:
    """Differences between METADATA and pyproject.toml, by what pip and people go by."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = BytesParser().parsebytes(text)
    for field, wanted in (
        ("Name", project["name"]),
        ("Version", pykvm.__version__),
        ("Requires-Python", project["requires-python"]),
        ("License-Expression", project["license"]),
        ("Description-Content-Type", "text/markdown"),
    ):
        if told[field] != wanted:
            yield f"METADATA says {field}: {told[field]}, not {wanted}"
    requirements = [Requirement(word) for word in told.get_all("Requires-Dist", [])]
    needed = {str(each) for each in requirements if not each.marker}
    if needed != (wanted := {str(Requirement(word)) for word in project["dependencies"]}):
        yield f"METADATA requires {sorted(needed)}, not {sorted(wanted)}"


def elf(module: Path, arch: str) -> Iterator[str]:
    """Faults of the compiled module that nobody sees on the machine that built it."""
    told = run(["readelf", "--wide", "-h", "-d", module], "looking into the compiled module")
    machine = re.search(r"Machine:\s+(.+)", told)
    if not machine or machine[1].strip() != _MACHINES[arch]:
        yield f"its module is for {machine[1].strip() if machine else 'no machine'}, not {arch}"
    for line in re.findall(r"\((?:RPATH|RUNPATH)\).*", told):
        yield f"its module looks for libraries in folders of this machine: {line}"


def platform_tags(tags: Collection[str], told: dict[str, Any], arch: str) -> Iterator[str]:
    """Where the platform tags are not auditwheel's, ``told`` in JSON, or keep old systems out."""
    if told["overall_tag"] not in tags:
        yield f"its platform is {', '.join(sorted(tags))}; auditwheel says {told['overall_tag']}"
    found = _PLATFORM.fullmatch(told["overall_tag"])
    if not found or found[3] != arch:
        yield f"auditwheel calls it {told['overall_tag']}, which is no manylinux on {arch}"
    elif (int(found[1]), int(found[2])) > OLDEST_GLIBC:
        needs = ", ".join(f"{name}: {each}" for name, each in told["versioned_symbols"].items())
        oldest = ".".join(map(str, OLDEST_GLIBC))
        yield f"it needs a glibc newer than {oldest} ({needs}): do without that function in cdefs/"


def problems(wheel: Path, arch: str) -> Iterator[str]:
    """All that is wrong with a wheel that is meant for ``arch``."""
    _, version, _, tags = parse_wheel_filename(wheel.name)
    if str(version) != pykvm.__version__:
        yield f"its version is {version}, not {pykvm.__version__}"
    if {(tag.interpreter, tag.abi) for tag in tags} != {("cp311", "abi3")}:
        yield "it is not for the stable ABI since Python 3.11 (cp311-abi3)"
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as scratch:
        yield from (missing := list(contents(archive.namelist(), expected_files())))
        if missing:
            return  # the rest would stumble over them
        info = f"pykvm_arm64-{pykvm.__version__}.dist-info"
        yield from metadata(archive.read(f"{info}/METADATA"))
        yield from elf(Path(archive.extract(MODULE, scratch)), arch)
    show = (sys.executable, "-m", "auditwheel", "show", "--json")
    told = json.loads(run([*show, wheel], f"auditing {wheel.name}"))
    yield from platform_tags({tag.platform for tag in tags}, told, arch)
    # Ends with a status, and so with our error, if a symbol is not of the stable ABI.
    run([sys.executable, "-m", "abi3audit", "--strict", wheel], f"auditing {wheel.name}")
