# SPDX-License-Identifier: Apache-2.0
"""On the emulated host: an ordinary user makes an environment, installs, and runs the tests.

Root prepares what an administrator would: the user, the group kvm, the mode of /dev/kvm. Stdout is
the record of the tests (``tests/plugin/record.py``) and nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

WHEELHOUSE = Path("/wheelhouse")
TREE = Path("/src")
_HOME = Path("/home/user")
_USER, _GROUP, _KVM = 1000, 1000, 104
_VENV = _HOME / "venv"
_OPEN = "import os; os.close(os.open('/dev/kvm', os.O_RDWR))"

#: A program for an environment's Python: the named packages are its own, none is the system's.
WHERE = """
import importlib, sys
assert sys.prefix != sys.base_prefix, "this is no virtual environment"
for name in sys.argv[1:]:
    place = importlib.import_module(name).__file__
    assert place.startswith(sys.prefix + "/"), f"{name} came from {place}, not from {sys.prefix}"
    print(name, "from", place)
"""


def _say(text: str) -> None:
    print(f"bare-venv: {text}", file=sys.stderr, flush=True)


def _as_user(
    words: Sequence[str | Path],
    *,
    groups: Sequence[int] = (_KVM,),
    quiet: bool = False,
    keep: Sequence[int] = (),
) -> int:
    """Runs a command as the user; what it prints goes to stderr."""
    return subprocess.run(
        words,
        user=_USER,
        group=_GROUP,
        extra_groups=groups,
        cwd=TREE,
        env={"HOME": str(_HOME), "PATH": f"{_VENV}/bin:/usr/bin", "LANG": "C.UTF-8"},
        stdout=2,
        stderr=subprocess.DEVNULL if quiet else 2,
        pass_fds=keep,
    ).returncode


def _must(what: str, *words: str | Path) -> None:
    _say(what)
    if status := _as_user(words):
        sys.exit(f"bare-venv: {what}: {words[0]} ended with status {status}")


def _prepare() -> None:
    with open("/etc/passwd", "a") as users, open("/etc/group", "a") as groups:
        users.write(f"user:x:{_USER}:{_GROUP}::{_HOME}:/bin/sh\n")
        groups.write(f"user:x:{_GROUP}:\nkvm:x:{_KVM}:user\n")
    _HOME.mkdir(parents=True)
    os.chown(_HOME, _USER, _GROUP)
    os.chown("/dev/kvm", 0, _KVM)
    Path("/dev/kvm").chmod(0o660)
    # The wheel must do: without this copy, nothing else can be imported.
    shutil.rmtree(TREE / "pykvm")
    subprocess.run(["chmod", "-R", "a+rX", TREE, WHEELHOUSE], check=True)


def main() -> int:
    """Pytest's exit status, or 1 where an earlier step failed."""
    _prepare()
    if _as_user(["python3", "-c", _OPEN], groups=(), quiet=True) == 0:
        sys.exit("bare-venv: /dev/kvm opens for users outside group kvm: this proves nothing")
    _must("opening /dev/kvm as a member of kvm", "python3", "-c", _OPEN)
    _must("making an environment", "python3", "-m", "venv", "--without-pip", _VENV)
    python = _VENV / "bin/python"
    # A wheel of pip runs as it lies there; slowly, for want of bytecode, so once and no more.
    (pip,) = WHEELHOUSE.glob("pip-*.whl")
    offline = ("--no-index", "--find-links", WHEELHOUSE, "--no-cache-dir", "--no-compile")
    _must("installing", python, pip / "pip", "install", *offline, "pykvm-arm64", "pytest")
    _must("importing", python, "-c", WHERE, "pykvm", "pykvm._kvm", "cffi", "rich", "pytest")
    _must("pykvm probe", _VENV / "bin/pykvm", "probe")
    _say("running the tests")
    record = os.dup(1)
    os.fchown(record, _USER, _GROUP)  # or the user could not open it by its name
    words = ["-p", "no:cacheprovider", "--host", "native", "--record", f"/dev/fd/{record}"]
    return _as_user([python, "-m", "pytest", *words, *sys.argv[1:]], keep=[record])


if __name__ == "__main__":
    sys.exit(main())
