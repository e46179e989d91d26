# SPDX-License-Identifier: Apache-2.0
"""A Debian root file system in a file: what mmdebstrap makes of the archive, as ext4."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab import cache, progress
from tests.lab.errors import LabError
from tests.lab.processes import run
from tests.lab.sources import archive
from tests.runner.prerequisites import provide

SUITE = "trixie"
_PACKAGES = ("systemd-sysv", "udev", "dbus", "login", "kmod")
_SIZE = "600M"
#: Root logs in without a password.
_HOOKS = ('chroot "$1" passwd -d root', 'echo guest >"$1/etc/hostname"')
_NEEDED = {
    "mmdebstrap": "mmdebstrap", "arch-test": "arch-test", "mke2fs": "e2fsprogs",
    "qemu-aarch64-static": "qemu-user-static",
}  # fmt: skip
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")


def image() -> Path:
    """The file; it is nobody's to write to."""
    key = cache.digest(SUITE, _PACKAGES, _SIZE, _HOOKS, archive().source_line(SUITE))

    def build(into: Path) -> None:
        _prepare()
        progress.say(f"making a root file system of Debian {SUITE}: some minutes, once")
        tree, draft = into / "tree", into / "root.ext4"
        hooks = [f"--customize-hook={hook}" for hook in _HOOKS]
        words = ("mmdebstrap", "--mode=root", "--architectures=arm64", "--variant=minbase")
        source = archive().source_line(SUITE)
        run([*words, f"--include={','.join(_PACKAGES)}", *hooks, SUITE, tree, source], "mmdebstrap")
        run(["mke2fs", "-q", "-t", "ext4", "-d", tree, draft, _SIZE], "making a file system")
        shutil.rmtree(tree)

    return cache.item("debian", key, build) / "root.ext4"


def _prepare() -> None:
    """Installs what is missing, and lets programs of arm64 run here."""
    missing = sorted({package for name, package in _NEEDED.items() if not shutil.which(name)})
    if os.geteuid():
        raise LabError("a Debian root is made by root, who owns its files.")
    if provide(missing):
        raise LabError(f"a Debian root needs: apt-get install {' '.join(missing)}")
    if not (_BINFMT / "register").exists():
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT], "mounting binfmt_misc")
    if not (_BINFMT / "qemu-aarch64").exists():
        (_BINFMT / "register").write_text(_RULE.read_text())
