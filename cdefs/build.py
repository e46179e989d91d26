# SPDX-License-Identifier: Apache-2.0
"""Joins the declarations in this folder into one compiled module, ``pykvm._kvm``.

Each ``.h`` declares constants and structures once; C compiles it, cffi parses it, and the oracle in
``tests/oracle`` compares it with kernel headers. Each ``.c`` holds typed wrappers; the ones marked
``API`` become functions of the module. Nothing is listed twice.

As a script::

    python cdefs/build.py --emit-c FILE     the module's C source, for a compiler of your choice
    python cdefs/build.py --emit-stub FILE  type hints for the module (pykvm/_kvm.pyi)
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import cffi

HERE = Path(__file__).resolve().parent

MODULE = "pykvm._kvm"
#: In the order in which C must see them.
HEADERS = (
    "results",
    "ioctl",
    "system",
    "caps",
    "vm",
    "memory",
    "device",
    "attributes",
    "vcpu",
    "vcpustate",
    "rings",
    "ranges",
    "registers",
    "statistics",
)
SOURCES = (
    "common",
    "request",
    "system",
    "vm",
    "memory",
    "device",
    "vcpu",
    "vcpustate",
    "bulk",
    "statistics",
    "signal",
    "rangestate",
    "ranges",
    "bus",
    "kick",
    "run",
    "waiting",
    "loop",
    "complete",
    "rings",
    "bitmap",
    "scalars",
)

_NOTE = r"/\* (?:own: .+|(?P<since>\d+\.\d+)(?P<arm64> arm64)?) \*/"
_CONSTANT = re.compile(rf"^#define (?P<name>[A-Z]\w*) .+? {_NOTE}$")
_REQUEST = re.compile(r"^#define \w+ KVM_(?:NONE|READS|WRITES|EXCHANGES)\(")
_STRUCT = re.compile(rf"^struct (?P<name>\w+) \{{ {_NOTE}$")
_MEMBER = re.compile(rf"^\t.*?(?P<name>\w+)(?:\[\w*\])*; {_NOTE}$")
_FUNCTION = re.compile(r"^API ([^{]+?\))\n\{", re.MULTILINE)
_OWN_STRUCT = re.compile(r"^struct (pykvm_\w+) \{$", re.MULTILINE)
_ATTRIBUTE = re.compile(r" __attribute__\(\(.*?\)\)(?=;)")


class Name(NamedTuple):
    """A name of the kernel's, and where it holds.

    A member is here only if it has a note of its own, because it is younger than its structure or
    of one architecture; whatever it is nested in, it is called ``structure.member``.
    """

    name: str
    kind: Literal["constant", "request", "struct", "member"]
    since: tuple[int, int]
    arm64_only: bool
    file: str


class DeclarationError(Exception):
    """A header in this folder is not in the form that README.md describes."""


def _read(name: str, folder: Path) -> str:
    return (folder / name).read_text(encoding="utf-8")


def _match(line: str, file: str, number: int) -> re.Match[str] | None:
    """What ``line`` declares; an unfinished declaration is an error, never skipped."""
    found = _CONSTANT.match(line) or _STRUCT.match(line) or _MEMBER.match(line)
    words = line.split()
    starts = line.startswith("struct ") or (words[:1] == ["#define"] and "(" not in words[1])
    if starts and not found:
        raise DeclarationError(
            f"{file}:{number}: {line!r} lacks the note that says which kernel brought it, "
            f"as in '/* 6.1 */' or '/* 6.1 arm64 */'"
        )
    return found


def names(folder: Path = HERE) -> Iterator[Name]:
    """Every name declared here that the kernel knows too."""
    for header in HEADERS:
        file = f"{header}.h"
        struct = ""
        for number, line in enumerate(_read(file, folder).splitlines(), 1):
            found = _match(line, file, number)
            if not found or not found["since"]:
                continue
            name = found["name"]
            kind: Literal["constant", "request", "struct", "member"] = "constant"
            if line.startswith("struct"):
                kind, struct = "struct", name
            elif line.startswith("\t"):
                kind, name = "member", f"{struct}.{name}"
            elif _REQUEST.match(line):
                kind = "request"
            major, minor = map(int, found["since"].split("."))
            yield Name(name, kind, (major, minor), bool(found["arm64"]), file)


def declarations(folder: Path = HERE) -> str:
    """What cffi is told.

    Constants have no value: the C compiler fills them in. Structures are checked against the
    compiler's layout; one with an attribute, which cffi cannot read, takes that layout over.
    """
    lines: list[str] = []
    partial = False
    for header in HEADERS:
        file = f"{header}.h"
        for number, line in enumerate(_read(file, folder).splitlines(), 1):
            found = _match(line, file, number)
            if line.startswith("#define"):
                if found:
                    lines.append(f"#define {found['name']} ...")
            elif line == "};":
                lines.append("\t...;\n};" if partial else line)
                partial = False
            else:
                partial |= "__attribute__" in line
                lines.append(_ATTRIBUTE.sub("", line))
    for source in SOURCES:
        text = _read(f"{source}.c", folder)
        lines += (f"struct {name} {{ ...; }};" for name in _OWN_STRUCT.findall(text))
        lines += (f"static {prototype};" for prototype in _FUNCTION.findall(text))
    return "\n".join(lines)


def c_source(folder: Path = HERE) -> str:
    """The C that is compiled: headers, then wrappers."""
    files = ["common.c", *(f"{name}.h" for name in HEADERS)]
    files += (f"{name}.c" for name in SOURCES if name != "common")
    parts: list[str] = []
    for file in files:
        parts += [f'#line 1 "cdefs/{file}"', _read(file, folder)]
    # For builds that measure: what they include can stand between Python and a wrapper.
    parts += ["#ifdef PYKVM_LAST", "#include PYKVM_LAST", "#endif"]
    return "\n".join(parts)


def builder() -> cffi.FFI:
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(declarations())
    ffi.set_source(
        MODULE,
        c_source(),
        extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter"],
        py_limited_api=True,
    )
    return ffi


_PYTHON_TYPES = {"void": "None"}


def _python_type(c_type: str) -> str:
    c_type = c_type.strip()
    if "*" in c_type:
        return "CData"
    return _PYTHON_TYPES.get(c_type, "int")


def stub(folder: Path = HERE) -> str:
    """Type hints for the compiled module."""
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# Made by `python cdefs/build.py --emit-stub`; a test checks that it is current.",
        "from typing import Any",
        "",
        "CData = Any",
        "ffi: Any",
        "",
        "class lib:",
    ]
    for header in HEADERS:
        for line in _read(f"{header}.h", folder).splitlines():
            if found := _CONSTANT.match(line):
                lines.append(f"    {found['name']}: int")
    for source in SOURCES:
        for prototype in _FUNCTION.findall(_read(f"{source}.c", folder)):
            head, _, tail = " ".join(prototype.split()).partition("(")
            result, name = re.fullmatch(r"(.+?)(\w+)", head).groups()  # type: ignore[union-attr]
            arguments = []
            for argument in tail.rstrip(")").split(","):
                if argument.strip() != "void":
                    c_type, argument_name = re.fullmatch(r"(.+?)(\w+)", argument).groups()  # type: ignore[union-attr]
                    arguments.append(f"{argument_name}: {_python_type(c_type)}")
            arguments += ["/"] if arguments else []
            lines.append("    @staticmethod")
            lines.append(f"    def {name}({', '.join(arguments)}) -> {_python_type(result)}: ...")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Build pieces of pykvm's compiled module.")
    parser.add_argument("--emit-c", type=Path, metavar="FILE", help="write the module's C source")
    parser.add_argument("--emit-stub", type=Path, metavar="FILE", help="write its type hints")
    arguments = parser.parse_args()
    if arguments.emit_c:
        builder().emit_c_code(str(arguments.emit_c))
    if arguments.emit_stub:
        arguments.emit_stub.write_text(stub(), encoding="utf-8")


if __name__ == "__main__":
    main()
