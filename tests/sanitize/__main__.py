# SPDX-License-Identifier: Apache-2.0
"""Runs the C of cdefs/ under sanitizers: alone, with threads, then as pykvm's module under Python.

Words are given to pytest in place of the tests that it runs under Python by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from cdefs import build

_TOP = Path(__file__).resolve().parents[2]
_TESTS = ["kick_loop", "mmio", "mmio_faults", "vcpu_thread", "complete_mmio", "run_signals", "kick"]
_FLAGS = ["-std=gnu11", "-g", "-O1", "-pthread", "-fno-sanitize-recover=all"]


def _run(words: list[str | Path], **more: str) -> None:
    print("sanitize:", *words[:1], *words[-1:], flush=True)
    subprocess.run(words, check=True, cwd=_TOP, env={**os.environ, **more})


def race(folder: Path, sanitizers: str) -> None:
    """``race.c`` with cdefs/ before it."""
    source, program = folder / "race.c", folder / f"race-{sanitizers}"
    body = Path(__file__).with_name("race.c").read_text(encoding="utf-8")
    source.write_text(build.c_source() + body, encoding="utf-8")
    options = [*_FLAGS, "-Wno-unused-function", f"-fsanitize={sanitizers}"]
    _run(["gcc", *options, source, "-o", program])
    _run([program])


def under_python(folder: Path, tests: list[str]) -> None:
    """pykvm with a module of its own: everything else is this tree's."""
    package = folder / "pykvm"
    package.mkdir()
    for path in (_TOP / "pykvm").iterdir():
        if path.suffix != ".so" and path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    for name in "tests", "cdefs", "examples", "pyproject.toml":
        (folder / name).symlink_to(_TOP / name)
    source = folder / "_kvm.c"
    build.builder().emit_c_code(str(source))
    include = f"-I{sysconfig.get_path('include')}"
    options = [*_FLAGS, "-shared", "-fPIC", "-fsanitize=address,undefined", include]
    _run(["gcc", *options, source, "-o", package / "_kvm.abi3.so"])
    runtime = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    )
    environment = {
        "LD_PRELOAD": runtime.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",  # the interpreter's own leaks are many
        "PYTHONMALLOC": "malloc",  # so that what cffi allocates has bounds, too
        "PYTHONPATH": str(folder),
    }
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--host", "native"]
    print("sanitize: pytest", *tests, flush=True)
    subprocess.run(
        [*words, "--rootdir", str(folder), *tests],
        check=True, cwd=folder, env={**os.environ, **environment},
    )  # fmt: skip


def main() -> int:
    tests = sys.argv[1:] or [f"tests/kvm/test_{name}.py" for name in _TESTS]
    try:
        with tempfile.TemporaryDirectory() as folder:
            race(Path(folder), "thread")
            race(Path(folder), "address,undefined")
            under_python(Path(folder), [*tests, "tests/unit/test_ranges.py"])
    except subprocess.CalledProcessError as failure:
        print(f"sanitize: status {failure.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
