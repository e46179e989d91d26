# SPDX-License-Identifier: Apache-2.0
"""What a shape boots from: its kernel, and its first file system, made of cached archives."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from tests.lab import kernels, modules, userland
from tests.lab.cache import digest
from tests.lab.cpio import Writer
from tests.lab.machine import BootFiles
from tests.lab.shapes import Shape

_HERE = Path(__file__).parent
# The lab's own way in: built into Debian's kernels from 6.12 on, modules before.
_CHANNEL_MODULES = ("virtio_pci", "virtio_console")
_DISK_MODULES = ("virtio_blk",)
# Loaded by the agent, once the command of a counted run has ended.
_LATE_MODULES = ("virtio_mmio",)


@dataclass(frozen=True)
class Parts:
    """The cached pieces that make up a shape's boot, and a key that names them all."""

    image: Path
    archives: tuple[Path, ...]
    agent: tuple[tuple[str, bytes, int], ...]
    key: str

    def assemble(
        self, work: Path, job: dict[str, object] | None = None, files: bytes = b""
    ) -> BootFiles:
        """Write the first file system into `work`; for counted runs with the job in it."""
        archive = work / "initrd"
        with open(archive, "wb") as stream:
            for part in self.archives:
                with open(part, "rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
            writer = Writer(stream)
            for name, data, mode in self.agent:
                writer.add(name, mode, data)
            if job is not None:
                writer.directory("lab/job")
                writer.file("lab/job/job.json", json.dumps(job).encode())
                writer.file("lab/job/files.tar", files)
            writer.close()
        return BootFiles(self.image, archive)


def _agent() -> tuple[tuple[str, bytes, int], ...]:
    entries = [("init", (_HERE / "guest/init").read_bytes(), stat.S_IFREG | 0o755)]
    folders = ("lab/tests", "lab/tests/lab", "lab/tests/lab/guest")
    entries += [(name, b"", stat.S_IFDIR | 0o755) for name in folders]
    for path in (_HERE / "__init__.py", _HERE / "frames.py", *sorted(_HERE.glob("guest/*.py"))):
        name = f"lab/tests/lab/{path.relative_to(_HERE)}"
        entries.append((name, path.read_bytes(), stat.S_IFREG | 0o644))
    return tuple(entries)


def _modules(shape: Shape, kernel: kernels.Kernel) -> Path | None:
    wanted = (*shape.modules, *(_DISK_MODULES if shape.disks else ()))
    late = _LATE_MODULES if shape.icount else ()
    tree = kernels.modules_at_hand(kernel)
    if tree is not None:
        wanted = (*_CHANNEL_MODULES, *wanted)
    elif wanted or late:
        tree = kernels.module_tree(kernel)
    return modules.archive(tree, kernel.package, wanted, late) if tree is not None else None


def parts(shape: Shape) -> Parts:
    """Fetch and build what the shape needs."""
    kernel = kernels.find(shape.kernel, shape.page_size)
    image = kernels.image(kernel)
    archives = [userland.base_archive()]
    extra = _modules(shape, kernel)
    if extra is not None:
        archives.append(extra)
    if shape.packages:
        archives.append(userland.package_archive(shape.packages))
    agent = _agent()
    key = digest(image, archives, agent)
    return Parts(image, tuple(archives), agent, key)
