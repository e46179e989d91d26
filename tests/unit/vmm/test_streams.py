# SPDX-License-Identifier: Apache-2.0
"""Boot_linux.py and the streams that it is given, with a guest that only prints."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vmm.test_bad_input import PROGRAM

PRINTING = """\
import os, sys; sys.path[0] = {folder!r}
import boot_linux
from minivmm.endings import Ending, Outcome
def live(given, backends, signals):
    backends.terminal.send(b"printed")
    outcome = Outcome()
    outcome.end(Ending.POWER_OFF)
    outcome.notes.append("a note")
    return outcome
boot_linux.live = live
{more}
sys.exit(boot_linux.main())"""


def printing(folder: Path, redirections: str) -> int:
    """The program with a guest that only prints; its status."""
    code = PRINTING.format(folder=str(PROGRAM.parent), more="")
    line = f'exec "$0" -c "$1" kernel --disk disk {redirections}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable, code], cwd=folder, timeout=60, check=False
    ).returncode


def changed(folder: Path, more: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    """The program with ``more`` done to it, and an empty disk."""
    (folder / "disk").write_bytes(bytes(4096))
    code = PRINTING.format(folder=str(PROGRAM.parent), more=more)
    line = [sys.executable, "-c", code, "kernel", "--disk", "disk"]
    return subprocess.run(line, cwd=folder, check=False, timeout=60, text=True, **streams)


@pytest.mark.parametrize("closed", [">&-", "<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_what_is_printed_goes_into_no_disk_where_stdout_is_closed(
    tmp_path: Path, closed: str
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    assert printing(tmp_path, closed) == 0
    assert disk.read_bytes() == bytes(4096)


def test_stderr_that_nobody_reads_changes_no_status(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(4096))
    far, near = os.pipe()
    os.close(far)
    assert printing(tmp_path, f"2>/proc/{os.getpid()}/fd/{near} </dev/null >/dev/null") == 0
    done = subprocess.run([sys.executable, PROGRAM, "nothere"], stderr=near, check=False)
    os.close(near)
    assert done.returncode == 2


TERMINATED_EARLY = """
from minivmm.terminal import Terminal
enter = Terminal.__enter__
def end_at_once(self):
    enter(self)
    os.kill(os.getpid(), 15)
    return self
Terminal.__enter__ = end_at_once"""


def test_a_signal_right_after_the_terminal_was_changed_leaves_it_as_before(tmp_path: Path) -> None:
    user, near = pty.openpty()
    before = termios.tcgetattr(near)
    changed(tmp_path, TERMINATED_EARLY, stdin=near, stdout=near, stderr=near)
    assert termios.tcgetattr(near) == before
    os.close(user)
    os.close(near)


COUNTED = """
from minivmm.bus import Bus
from minivmm.stats import Stats, tell_stages
def live(given, backends, signals):
    tell_stages({"set-up": 1.0})
    Stats(Bus(None), {}, {}).close()
    outcome = Outcome()
    outcome.end(Ending.POWER_OFF)
    return outcome
boot_linux.live = live"""


def test_statistics_that_nobody_reads_change_no_status(tmp_path: Path) -> None:
    far, near = os.pipe()
    os.close(far)
    nothing = subprocess.DEVNULL
    done = changed(tmp_path, COUNTED, stdin=nothing, stdout=nothing, stderr=near)
    os.close(near)
    assert done.returncode == 0


CRASHED = """
import errno
def fdatasync(fd): raise OSError(errno.EIO, os.strerror(errno.EIO))
os.fdatasync = fdatasync
def live(given, backends, signals):
    outcome = Outcome()
    outcome.end(Ending.CRASH, "vCPU 0 at pc 0x0")
    return outcome
boot_linux.live = live"""


def test_a_disk_that_takes_no_flush_is_told_beside_how_it_ended(tmp_path: Path) -> None:
    done = changed(tmp_path, CRASHED, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 2
    crash, disk = done.stderr.splitlines()
    assert crash == "boot_linux: vCPU 0 at pc 0x0"
    assert disk.startswith("boot_linux: disk disk: Input/output error")
