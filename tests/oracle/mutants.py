# SPDX-License-Identifier: Apache-2.0
"""Copies of cdefs/ with a mistake in them, compiled: the oracle must find every one."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cffi

from cdefs import build

_CONSTANT = re.compile(r"^#define (\w+) (.+?) (/\* \d.*)$", re.MULTILINE)
_ORDINAL = re.compile(r"(?<=\()0x\w+")
_SCALAR = re.compile(r"^(\t+)uint(8|16|32|64)_t (\w+);$", re.MULTILINE)
_OTHER_WIDTH = {"8": "16", "16": "32", "32": "16", "64": "32"}

Edit = Callable[[str], str]


def wrong_value(name: str) -> Edit:
    """Flips the lowest bit of a constant, or of a request number's ordinal."""
    return lambda text: _CONSTANT.sub(
        lambda found: _flipped(found) if found[1] == name else found[0], text
    )


def wrong_values(text: str) -> str:
    """The same for every constant of a header."""
    return _CONSTANT.sub(_flipped, text)


def last_scalar(text: str) -> str | None:
    """The last integer member of a header, which `wrong_width` makes narrower or wider."""
    found = _SCALAR.findall(text)
    return found[-1][2] if found else None


def wrong_width(text: str) -> str:
    """Another width for the last integer member of a header."""
    *_, last = _SCALAR.finditer(text)
    member = f"{last[1]}uint{_OTHER_WIDTH[last[2]]}_t {last[3]};"
    return text[: last.start()] + member + text[last.end() :]


def replaced(old: str, new: str) -> Edit:
    """Another word for one that the header has."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


def copied(into: Path, edits: dict[str, Edit]) -> Path:
    """A copy of cdefs/ in which every edit changed its file."""
    folder = into / "cdefs"
    shutil.copytree(build.HERE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file, edit in edits.items():
        path = folder / file
        before = path.read_text(encoding="utf-8")
        after = edit(before)
        assert after != before, f"{file}: nothing was changed"
        path.write_text(after, encoding="utf-8")
    return folder


def compiled(folder: Path) -> tuple[Any, Any]:
    """``ffi`` and ``lib`` of the module that a copy of cdefs/ makes."""
    # A name of its own: the real module stays what it is for the rest of the test run.
    name = f"mutant_{folder.parent.name.replace('-', '_')}"
    ffi = cffi.FFI()
    ffi.cdef(build.declarations(folder))
    ffi.set_source(name, build.c_source(folder))
    source, module = folder.parent / f"{name}.c", folder.parent / f"{name}.so"
    ffi.emit_c_code(str(source))
    include = sysconfig.get_path("include")
    command = ["cc", "-O0", "-w", "-shared", "-fPIC", f"-I{include}", str(source)]
    subprocess.run([*command, "-o", str(module)], check=True)
    spec = importlib.util.spec_from_file_location(name, module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.ffi, loaded.lib


def _flipped(found: re.Match[str]) -> str:
    name, value, note = found.groups()
    wrong, ordinals = _ORDINAL.subn(r"\g<0> ^ 1", value)
    if not ordinals:
        wrong = f"({value} ^ 1)"
    return f"#define {name} {wrong} {note}"
