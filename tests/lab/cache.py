# SPDX-License-Identifier: Apache-2.0
"""Where the lab keeps things.

An item is built once, in a work directory, and appears by one rename: so labs may start side by
side and may be killed at any instant, and what has a name is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab import progress
from tests.lab.errors import LabError
from tests.lab.processes import signals_held

_SHARED_MEMORY = Path("/dev/shm")


def root() -> Path:
    """The cache directory, made if absent."""
    named = os.environ.get("PYKVM_LAB_CACHE")
    if named:
        path = Path(named)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        path = Path(base) / "pykvm-lab"
    path = path.absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"cannot make the cache directory {path}: {error.strerror}. "
            "Set PYKVM_LAB_CACHE to a directory that you can write."
        ) from None
    return path


def memory_root() -> Path | None:
    """This cache's part of the machine's tmpfs; None where there is none of our own."""
    tag = hashlib.sha256(os.fsencode(root())).hexdigest()[:12]
    path = _SHARED_MEMORY / f"pykvm-lab-{os.getuid()}-{tag}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        seen = path.lstat()
    except OSError:
        return None
    # /dev/shm is everybody's: a directory that another user put there first is not ours to trust.
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        return None
    return path


@contextlib.contextmanager
def lock(name: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold one of the cache's locks; BlockingIOError if it is taken and not to be waited for.

    The kernel frees it if the lab dies.
    """
    folder = root() / "locks"
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            progress.say(f"waiting for another lab ({name})")
            fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a tree, whatever its modes say."""

    def open_up(_call: object, name: str, _error: object) -> None:
        stuck = Path(name)
        with contextlib.suppress(FileNotFoundError):
            stuck.parent.chmod(0o700)
            if stuck.is_dir() and not stuck.is_symlink():
                stuck.chmod(0o700)
                shutil.rmtree(stuck, onerror=open_up)
            else:
                stuck.unlink()

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=open_up)
    else:
        path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove the work directories of labs that died; a living one holds its directory locked."""
    for entry in folder.iterdir():
        try:
            descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(entry)
        except OSError:
            pass
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def workdir(base: Path | None = None) -> Iterator[Path]:
    """A private directory inside the cache (or inside `base`), removed on every way out."""
    folder = (base or root()) / "work"
    folder.mkdir(exist_ok=True)
    path: Path | None = None
    descriptor = -1
    try:
        # Made and locked under one lock, or a sweeper could take it for a dead lab's in between.
        with lock("sweep"):
            _sweep(folder)
            with signals_held():
                path = Path(tempfile.mkdtemp(dir=folder))
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        with signals_held():
            if path is not None:
                remove(path)
            if descriptor >= 0:
                os.close(descriptor)


# Versions move weekly and sources by the minute: of each kind the last used are kept.
_KEPT = {
    "kernels": 12, "archives": 24, "userland": 2, "python": 2, "newest-python": 2, "qemu": 2,
    "headers": 4,
}  # fmt: skip
_KEPT_OF_OTHERS = 20


def _forget(folder: Path, most: int) -> None:
    """Remove all but the last used items of a kind."""
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-most]:
        remove(path)


def item(kind: str, key: str, build: Callable[[Path], None], base: Path | None = None) -> Path:
    """The cached directory `kind/key`; `build(directory)` fills it if it does not exist yet."""
    home = base or root()
    final = home / kind / key
    if not final.is_dir():
        with lock(f"{kind}.{key}"):
            if not final.is_dir():
                with workdir(base) as work:
                    made = work / "item"
                    made.mkdir()
                    build(made)
                    final.parent.mkdir(exist_ok=True)
                    os.utime(made)  # unpacked, it may have its package's age: the first to go
                    made.rename(final)
                if base is None:
                    _forget(final.parent, _KEPT.get(kind, _KEPT_OF_OTHERS))
    with contextlib.suppress(OSError):
        os.utime(final)  # eviction and `list` go by the last use
    return final


def write(path: Path, text: str) -> None:
    """Write a small file at once."""
    with workdir() as work:
        draft = work / path.name
        draft.write_text(text)
        path.parent.mkdir(exist_ok=True)
        draft.rename(path)


def digest(*parts: object) -> str:
    """A short name for whatever an item depends on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
