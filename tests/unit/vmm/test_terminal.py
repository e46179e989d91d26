# SPDX-License-Identifier: Apache-2.0
"""The terminal of the minimal VMM, and its event loop."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import socket
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from minivmm.events import EventLoop
from minivmm.pl031 import Pl031
from minivmm.pl031 import Reg as Pl031Reg
from minivmm.terminal import Terminal

from pykvm import EventFd
from tests.unit.vmm.fakes import FakeLevel


class Typed:
    """A receiver with little room, as a UART has."""

    def __init__(self, room: int = 16) -> None:
        self.most = room
        self.data = b""
        self.all = b""

    @property
    def room(self) -> int:
        return self.most - len(self.data)

    def receive(self, data: bytes) -> None:
        assert len(data) <= self.room
        self.data += data
        self.all += data


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join()
    made.close()


@pytest.fixture
def keyboard() -> Iterator[tuple[int, int]]:
    """A terminal's far end, where the user is, and its near one."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def shown(user: int, wanted: bytes) -> bool:
    """Whether this comes to be on the screen."""
    seen = b""

    def look() -> bool:
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(user, 1000)
        return wanted in seen

    return soon(look)


def soon(what: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not what() and time.monotonic() < end:
        time.sleep(0.005)
    return what()


def test_what_is_typed_arrives_as_it_is_and_the_terminal_is_restored(
    keyboard: tuple[int, int], loop: EventLoop
) -> None:
    user, near = keyboard
    before = termios.tcgetattr(near)
    with Terminal(near, near) as terminal:
        typed = Typed(100)
        terminal.connect(typed, loop, quit=lambda: None)
        os.write(user, b"a\x03\r\x04")
        assert soon(lambda: typed.all == b"a\x03\r\x04")
        terminal.send(b"out\n")
        assert shown(user, b"out\n")  # no carriage return was added
    assert termios.tcgetattr(near) == before


def test_the_terminal_is_restored_after_a_failure_too(keyboard: tuple[int, int]) -> None:
    _, near = keyboard
    before = termios.tcgetattr(near)

    def fail() -> None:
        with Terminal(near, near):
            assert termios.tcgetattr(near) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert termios.tcgetattr(near) == before


def test_ctrl_a_is_ours(keyboard: tuple[int, int], loop: EventLoop) -> None:
    user, near = keyboard
    quits: list[int] = []
    with Terminal(near, near) as terminal:
        typed = Typed(100)
        terminal.connect(typed, loop, quit=lambda: quits.append(1))
        os.write(user, b"a\x01\x01b\x01")
        assert soon(lambda: typed.all == b"a\x01b")
        os.write(user, b"?c")
        assert soon(lambda: typed.all == b"a\x01bc")
        assert shown(user, b"Ctrl-A x quits")
        assert not quits
        os.write(user, b"\x01x")
        assert soon(lambda: quits == [1])


@pytest.mark.parametrize("through", ["pipe", "terminal"])
def test_output_that_nobody_reads_holds_nobody_up_at_the_end(through: str) -> None:
    far, near = os.pipe() if through == "pipe" else pty.openpty()
    done = threading.Event()
    stdin, _ = os.pipe()
    with Terminal(stdin, near) as terminal:

        def print_without_end() -> None:
            for _ in range(1000):
                terminal.send(b"x" * 10_000)
            done.set()

        threads = [threading.Thread(target=print_without_end) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert select.select([far], [], [], 20)[0]
        assert not done.wait(0.2)
        terminal.let_go()
        for thread in threads:
            thread.join()
    os.close(far)
    os.close(near)


def feed(terminal: Terminal, typed: Typed, wanted: bytes) -> None:
    """Takes what arrives, as a guest does, until it is all there."""

    def take() -> bool:
        typed.data = b""
        terminal.more()
        return typed.all == wanted

    assert soon(take)


def test_a_pipe_of_any_length_comes_through_a_small_door(loop: EventLoop) -> None:
    wanted = bytes(range(256)) * 4
    ours, theirs = os.pipe()
    os.write(theirs, wanted)
    os.close(theirs)
    with open(ours, "rb", 0) as stdin, Terminal(stdin.fileno()) as terminal:
        typed = Typed()
        terminal.connect(typed, loop, quit=lambda: None)
        feed(terminal, typed, wanted)


def test_a_file_comes_through_too(loop: EventLoop, tmp_path: Path) -> None:
    wanted = bytes(range(256)) * 2
    (tmp_path / "typed").write_bytes(wanted)
    with open(tmp_path / "typed", "rb", 0) as stdin, Terminal(stdin.fileno()) as terminal:
        typed = Typed()
        terminal.connect(typed, loop, quit=lambda: None)
        feed(terminal, typed, wanted)


def test_each_signal_wakes_though_nobody_reads_the_eventfd(loop: EventLoop) -> None:
    bell, heard = EventFd(), [0]

    def react() -> None:
        heard[0] += 1

    loop.watch(bell, react)
    for number in range(1, 20):
        bell.signal()
        assert soon(lambda number=number: heard[0] == number)  # type: ignore[misc]
    assert bell.read() == 19
    bell.close()


def test_alarms_come_once_and_can_be_called_off(loop: EventLoop) -> None:
    rung: list[str] = []
    loop.call_later(60, lambda: rung.append("late"))
    loop.call_later(0.01, lambda: rung.append("now"))
    assert soon(lambda: rung == ["now"])
    loop.call_later(0.01, lambda: rung.append("never"))
    loop.call_later(None, lambda: None)
    time.sleep(0.05)
    assert rung == ["now"]


def test_a_terminal_that_hung_up_is_no_failure() -> None:
    user, near = pty.openpty()
    with Terminal(near, near):
        os.close(user)
    os.close(near)


def test_output_to_a_socket_holds_nobody_up_at_the_end_either() -> None:
    far, near = socket.socketpair()
    stdin, keyboard = os.pipe()
    with Terminal(stdin, near.fileno()) as terminal:
        thread = threading.Thread(target=terminal.send, args=(bytes(10 << 20),), daemon=True)
        thread.start()
        assert select.select([far], [], [], 20)[0]
        thread.join(0.2)
        assert thread.is_alive()
        terminal.let_go()
        thread.join(20)
        assert not thread.is_alive()
    assert near.getblocking(), "others use it, too"
    for end in far, near:
        end.close()
    for fd in stdin, keyboard:
        os.close(fd)


def test_an_alarm_may_be_years_away() -> None:
    loop, rung = EventLoop(), [0]
    clock = Pl031(FakeLevel(), lambda seconds: loop.call_later(seconds, clock.ring))
    clock.write(Pl031Reg.MR, 4, clock.seconds + (1 << 31) - 10)
    bell = EventFd()

    def react() -> None:
        rung[0] += 1
        loop.stop()

    loop.watch(bell, react)
    bell.signal()
    loop.run()
    loop.close()
    bell.close()
    assert rung == [1]
    assert clock.read(Pl031Reg.RIS, 4) == 0


def test_an_end_that_came_before_the_input_was_connected_is_not_forgotten(loop: EventLoop) -> None:
    far, near = os.pipe()
    stdin, keyboard = os.pipe()
    with Terminal(stdin, near) as terminal:
        terminal.hold_on()
        terminal.let_go()  # a signal, while the guest is still being set up
        terminal.connect(Typed(), loop, quit=lambda: None)
        thread = threading.Thread(target=terminal.send, args=(bytes(1 << 20),), daemon=True)
        thread.start()
        thread.join(5)
        held_up = thread.is_alive()
        terminal.let_go()
        thread.join()
    for fd in far, near, stdin, keyboard:
        os.close(fd)
    assert not held_up


def test_keys_that_another_program_took_are_not_the_last(loop: EventLoop) -> None:
    stdin, keyboard = os.pipe()
    os.set_blocking(stdin, False)
    with Terminal(stdin) as terminal:
        typed = Typed()
        terminal.connect(typed, loop, quit=lambda: None)
        terminal._readable()
        os.write(keyboard, b"more")
        assert soon(lambda: typed.all == b"more")
    for fd in stdin, keyboard:
        os.close(fd)


def test_whoever_asks_for_help_that_nobody_reads_can_still_quit(
    keyboard: tuple[int, int], loop: EventLoop
) -> None:
    user, near = keyboard
    far, full = os.pipe()
    quits: list[int] = []
    with Terminal(near, full) as terminal:
        terminal.connect(Typed(), loop, quit=lambda: quits.append(1))
        thread = threading.Thread(target=terminal.send, args=(bytes(1 << 20),), daemon=True)
        thread.start()
        assert select.select([far], [], [], 20)[0]
        thread.join(0.2)
        os.write(user, b"\x01?\x01x")
        quitted = soon(lambda: quits == [1])
        terminal.let_go()
        thread.join()
    for fd in far, full:
        os.close(fd)
    assert quitted
