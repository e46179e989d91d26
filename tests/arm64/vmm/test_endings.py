# SPDX-License-Identifier: Apache-2.0
"""Every way out of the minimal VMM: its exit status, and the terminal as it was before."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from guests import words

from tests.arm64.vmm.flat import HELLO, NOTHING, command, constant, psci, say
from tests.arm64.vmm.linux import PATIENCE, PROGRAM

Act = Callable[[subprocess.Popen[bytes], int], object]


def kill(number: signal.Signals) -> Act:
    return lambda process, _: process.send_signal(number)


def type_in(keys: bytes) -> Act:
    return lambda _, user: os.write(user, keys)


def on_a_terminal(line: Sequence[str], act: Act | None = None) -> tuple[int, str]:
    """Runs a program on a terminal of its own, acts once the guest is up: status, and what is
    shown. The terminal must be as it was before."""
    user, near = pty.openpty()
    before = termios.tcgetattr(near)
    shown = b""
    with subprocess.Popen(line, stdin=near, stdout=near, stderr=near) as process:
        end = time.monotonic() + PATIENCE
        while process.poll() is None:
            assert time.monotonic() < end
            shown += heard(user, 0.1)
            if act and b"up\n" in shown:
                assert termios.tcgetattr(near) != before
                act(process, user)
                act = None
    shown += heard(user, 0)
    assert termios.tcgetattr(near) == before
    os.close(user)
    os.close(near)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def heard(user: int, seconds: float) -> bytes:
    return os.read(user, 10_000) if select.select([user], [], [], seconds)[0] else b""


CRASH = [*HELLO, constant(12, 3), words.ldp(13, 14, 12)]
FAILING = """\
import sys; from pathlib import Path; sys.path[0] = str(Path(sys.argv[1]).parent)
import boot_linux
def fail(*_): raise ZeroDivisionError("the device itself is wrong")
boot_linux.Pl011.write = fail
del sys.argv[0]; boot_linux.main()"""


@pytest.mark.parametrize(
    ("instructions", "given", "act", "status", "shown"),
    [
        ([*HELLO, *psci(1)], [], None, 0, "up\n"),
        ([*HELLO, *psci(2)], ["--no-reboot"], None, 3, "up\n"),
        (CRASH, [], None, 1, "vCPU 0 at pc"),
        ([*HELLO, words.SPIN], [], type_in(b"\x01x"), 4, "up\n"),
        ([*HELLO, words.SPIN], [], kill(signal.SIGHUP), 129, "up\n"),
        ([*HELLO, words.SPIN], [], kill(signal.SIGINT), 130, "up\n"),
        ([*HELLO, words.SPIN], [], kill(signal.SIGTERM), 143, "up\n"),
        (HELLO, ["--uart-address", "0x40000000"], None, 2, "overlaps memory"),
    ],
    ids=["off", "reset", "crash", "ctrl-a-x", "hangup", "interrupt", "terminate", "bad-input"],
)
def test_the_terminal_is_as_before_after_every_end(
    tmp_path: Path,
    instructions: list[int],
    given: list[str],
    act: Act | None,
    status: int,
    shown: str,
) -> None:
    line = command(tmp_path, instructions, *given, constants=[NOTHING])
    found, said = on_a_terminal(line, act)
    assert (found, shown in said) == (status, True), said


def test_the_terminal_is_as_before_where_the_program_itself_fails(tmp_path: Path) -> None:
    line = command(tmp_path, [*HELLO, words.SPIN])
    status, said = on_a_terminal([line[0], "-c", FAILING, str(PROGRAM), *line[2:]])
    assert status == 1
    assert "ZeroDivisionError" in said


def test_ctrl_c_and_what_comes_by_a_pipe_are_the_guest_s(tmp_path: Path) -> None:
    """The guest waits for a byte, adds one to it and prints it."""
    echo = [
        *HELLO, words.ldr_w(11, 10), 0x34FF_FFEB,  # cbz w11, back to the load
        words.add(11, 11, 1), words.str_w(11, 10), *psci(1),
    ]  # fmt: skip
    assert on_a_terminal(command(tmp_path, echo), type_in(b"\x03")) == (0, "up\n\x04")
    done = subprocess.run(
        command(tmp_path, echo), input=b"a", capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"up\nb", b"")


def test_output_that_nobody_reads_does_not_hold_up_sigterm(tmp_path: Path) -> None:
    chatter = [constant(10, 0), *say(b"x" * 64), 0x17FF_FF80]  # b, back to the first x
    far, near = os.pipe()
    with subprocess.Popen(
        command(tmp_path, chatter), stdin=subprocess.DEVNULL, stdout=near, stderr=subprocess.PIPE
    ) as process:
        assert select.select([far], [], [], PATIENCE)[0]
        filling = os.open(f"/proc/self/fd/{near}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(filling, bytes(4096))
        time.sleep(0.5)  # for the guest to come to where it waits
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    for fd in far, near, filling:
        os.close(fd)
    assert (process.returncode, errors) == (143, b"")


FLUSHING = """\
import os, sys; from pathlib import Path; sys.path[0] = str(Path(sys.argv[1]).parent)
import boot_linux
flush, told = os.fdatasync, sys.argv.pop()
def tell(fd): flush(fd); Path(told).write_text(os.readlink(f"/proc/self/fd/{fd}"))
os.fdatasync = tell
del sys.argv[0]; sys.exit(boot_linux.main())"""


def test_sigterm_flushes_disks(tmp_path: Path) -> None:
    disk, told = tmp_path / "disk", tmp_path / "told"
    disk.write_bytes(bytes(4096))
    line = command(tmp_path, [*HELLO, words.SPIN], "--disk", str(disk))
    flushing = [line[0], "-c", FLUSHING, str(PROGRAM), *line[2:], str(told)]
    assert on_a_terminal(flushing, kill(signal.SIGTERM)) == (143, "up\n")
    assert told.read_text() == str(disk)


IN_A_RESET = """\
import os, signal, sys; from pathlib import Path; sys.path[0] = str(Path(sys.argv[1]).parent)
import boot_linux
place, lives = boot_linux.image.place, []
def placing(*given):
    lives.append(given)
    if len(lives) == 2: os.kill(os.getpid(), signal.SIGTERM)
    return place(*given)
boot_linux.image.place = placing
del sys.argv[0]; sys.exit(boot_linux.main())"""


def test_a_signal_between_two_lives_ends_the_second_one(tmp_path: Path) -> None:
    line = command(tmp_path, [*HELLO, *psci(2)])
    status, said = on_a_terminal([line[0], "-c", IN_A_RESET, str(PROGRAM), *line[2:]])
    assert status == 143, said


@pytest.mark.needs("tap")
def test_a_tap_without_permission_is_told_in_one_line(tmp_path: Path) -> None:
    line = command(tmp_path, HELLO, "--tap", "nottheirs0")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    Path("/dev/net/tun").chmod(0o666)  # as distributions have it
    done = subprocess.run(
        line, user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("boot_linux: tap nottheirs0: not permitted; run as root")
    assert len(done.stderr.splitlines()) == 1
