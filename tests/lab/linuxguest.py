# SPDX-License-Identifier: Apache-2.0
"""A Linux for guests of the emulated host: Debian's kernel, and a first file system of busybox.

``--guest X.Y`` lays it out as /guest/Image and /guest/initrd. Its init runs what stands behind
``guest.run="`` on the kernel's command line up to the next double quote, as a shell script, with
``modprobe``, ``probe`` and ``measure`` (guestprogram/) at hand; without that, a shell.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab import cache, cross, kernels, modules, progress, userland
from tests.lab.cpio import Writer
from tests.lab.processes import run

HOME = "/guest"
MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "vmw_vsock_virtio_transport", "virtio_rng")
_FOLDERS = ("bin", "dev", "proc", "sys", "tmp", "etc", "mnt")
_INIT = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
run=$(sed -n 's/.*guest\\.run="\\([^"]*\\).*/\\1/p' /proc/cmdline)
eval "${run:-exec sh}"
echo "guest.run has come to its end"
poweroff -f
"""


_PROGRAMS = Path(__file__).with_name("guestprogram")


def _programs() -> Path:
    """Programs for guests: what busybox cannot show, nor measure."""
    gcc = cross.compiler()
    sources = sorted(_PROGRAMS.glob("*.c"))

    def build(into: Path) -> None:
        for source in sources:
            words = (gcc, "-O2", "-static", "-s", "-pthread", source, "-o", into / source.stem)
            run([*words], "compiling a program for guests")

    return cache.item("programs", cache.digest(*(each.read_text() for each in sources)), build)


def _write(into: Path, tree: Path, wanted: Sequence[str]) -> None:
    progress.say("building a first file system for guests")
    top = f"lib/modules/{tree.name}"
    with open(into, "wb") as stream:
        writer = Writer(stream)
        for folder in (*_FOLDERS, "lib", "lib/modules", top):
            writer.directory(folder)
        writer.file("init", _INIT.encode(), 0o755)
        writer.file("bin/busybox", (userland.base_tree() / "usr/bin/busybox").read_bytes(), 0o755)
        for program in sorted(_programs().iterdir()):
            writer.file(f"bin/{program.name}", program.read_bytes(), 0o755)
        for name in _APPLETS:
            writer.add(f"bin/{name}", 0o120777, b"busybox")
        loaded = modules.in_loading_order(wanted, tree)
        files = {modules.plain_name(path.name): data for path, data in loaded}
        for name, data in files.items():
            writer.file(f"{top}/{name}.ko", data)
        # What each one needs comes before it: that is all that modprobe has to know.
        names = list(files)
        lines = [
            f"{name}.ko: {' '.join(f'{need}.ko' for need in reversed(_needs(name, files)))}\n"
            for name in names
        ]
        writer.file(f"{top}/modules.dep", "".join(lines).encode())
        writer.close()


def _needs(name: str, files: dict[str, bytes]) -> list[str]:
    """Every module that one needs, in the order of loading."""
    found: list[str] = []
    for need in modules.needs(files[name]):
        if need in files:
            found += [each for each in (*_needs(need, files), need) if each not in found]
    return found


def initrd(kernel: kernels.Kernel, wanted: Sequence[str] = MODULES) -> Path:
    """The first file system for a kernel."""
    tree = kernels.module_tree(kernel)
    key = cache.digest(_INIT, _APPLETS, _FOLDERS, wanted, tree.name, _programs().name)

    def build(into: Path) -> None:
        _write(into / "cpio", tree, wanted)

    return cache.item("archives", f"guest-{key}", build) / "cpio"


def files(wanted: str, more: Sequence[str] = ()) -> list[tuple[Path, str]]:
    """What ``--guest`` brings, as for ``--file``, and with it ``more`` modules."""
    kernel = kernels.find(wanted, "4k")
    return [
        (kernels.image(kernel), f"{HOME}/Image"),
        (initrd(kernel, (*MODULES, *more)), f"{HOME}/initrd"),
    ]


_APPLETS = (
    "ash", "awk", "basename", "cat", "chmod", "cmp", "cp", "cut", "date", "dd", "df", "dmesg",
    "echo", "env", "false", "find", "free", "grep", "halt", "head", "hexdump", "hostname",
    "id", "ifconfig", "insmod", "ip", "kill", "ln", "ls", "lsmod", "md5sum", "mkdir", "mknod",
    "modprobe", "mount", "mv", "nc", "nproc", "od", "ping", "poweroff", "printf", "ps", "pwd",
    "reboot", "rm", "rmdir", "route", "sed", "seq", "setsid", "sh", "sha256sum", "sleep",
    "sort", "stat", "stty", "switch_root", "sync", "tail", "taskset", "test", "time", "top",
    "touch", "tr", "true", "tty", "umount", "uname", "uniq", "uptime", "vi", "wc", "which",
    "xargs", "yes", "zcat",
)  # fmt: skip
