# SPDX-License-Identifier: Apache-2.0
"""Forked children and fresh interpreters, for what a test must not do to its own process."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Seconds until a process or thread that does not answer counts as hung. Emulated hosts stall.
PATIENCE = 120.0

_TOP = Path(__file__).resolve().parents[2]


def forked(body: Callable[[], Any]) -> Any:
    """What ``body`` returns in a forked child; fails as it fails there, or where the child dies."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(int(PATIENCE))
            result: tuple[bool, Any]
            try:
                result = True, body()
            except BaseException:
                result = False, traceback.format_exc()
            os.write(writer, pickle.dumps(result))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"the child died: {os.waitstatus_to_exitcode(status)}"
    good, value = pickle.loads(answer)  # noqa: S301 - written by the lines above
    assert good, f"in the child:\n{value}"
    return value


def python(script: str, *options: str) -> str:
    """What ``script`` prints in a fresh interpreter, on both streams; fails where it fails."""
    ended = subprocess.run(
        [sys.executable, *options, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        cwd=_TOP,
    )
    assert ended.returncode == 0, f"exit status {ended.returncode}:\n{ended.stdout}"
    return ended.stdout
