# SPDX-License-Identifier: Apache-2.0
"""Child processes that cannot outlive the lab, and the signals that end it.

Each child leads its own process group (a Ctrl-C of the terminal reaches the lab alone, which then
ends its children in order) and is killed by the kernel when the lab dies, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from tests.lab.errors import Interrupted, LabError

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

_children: set[subprocess.Popen[bytes]] = set()
_held = 0
_waiting: int | None = None


def _on_signal(signum: int, _frame: FrameType | None) -> None:
    global _waiting
    # Only the first one counts: a second Ctrl-C must not cut the clean-up short.
    for each in ENDING_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if _held:
        _waiting = signum
    else:
        raise Interrupted(signum)


def take_signals() -> None:
    """Turn SIGINT, SIGTERM and SIGHUP into `Interrupted`; adopt orphans, to end them too."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for each in ENDING_SIGNALS:
        # nohup's wish is kept.
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, _on_signal)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let a signal raise only after the block: for steps that must be whole or not at all."""
    global _held, _waiting
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if not _held and _waiting is not None:
            signum, _waiting = _waiting, None
            raise Interrupted(signum)


def _die_with(parent: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    for each in ENDING_SIGNALS:
        signal.signal(each, signal.SIG_DFL)


def spawn(argv: Sequence[str | os.PathLike[str]], **options: Any) -> subprocess.Popen[bytes]:
    """Start a child that dies with the lab. Takes what Popen takes."""
    parent = os.getpid()
    with signals_held():
        child = subprocess.Popen(
            argv, process_group=0, preexec_fn=lambda: _die_with(parent), **options
        )
        _children.add(child)
    return child


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child's whole group and reap the child."""
    with signals_held():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        _children.discard(child)


def end_all() -> None:
    """End every child, and every descendant that was left to us."""
    for child in list(_children):
        end(child)
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            pids = [int(pid) for pid in listing.read_text().split()]
        except OSError:
            return
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def run_bytes(
    argv: Sequence[str | os.PathLike[str]],
    purpose: str,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """Run a helper program to its end for its stdout; LabError with its words if it fails."""
    full = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        child = spawn(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=full,
        )
    except FileNotFoundError:
        raise LabError(
            f"{purpose}: {os.fspath(argv[0])} is not installed. "
            "`python3 -m tests.lab doctor` names the packages that are missing."
        ) from None
    try:
        out, err = child.communicate()
    finally:
        end(child)
    if child.returncode:
        words = (err or out).decode(errors="replace").strip().splitlines()[-12:]
        command = " ".join(os.fspath(word) for word in argv)
        raise LabError(
            f"{purpose} failed (status {child.returncode}): {command}\n  " + "\n  ".join(words)
        )
    return bytes(out)


def run(
    argv: Sequence[str | os.PathLike[str]],
    purpose: str,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """`run_bytes`, for a program that prints text."""
    return run_bytes(argv, purpose, cwd=cwd, env=env).decode(errors="replace")
