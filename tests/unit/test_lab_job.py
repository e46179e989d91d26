# SPDX-License-Identifier: Apache-2.0
"""What passes between the lab and its agent, and what a person gets of it."""

from __future__ import annotations

import lzma
import os
import time
from pathlib import Path

import pytest

from tests.lab.errors import UsageError
from tests.lab.frames import Decoder, Kind, frame
from tests.lab.job import Job, exit_status, write_all
from tests.lab.modules import in_loading_order, plain_name
from tests.lab.tree import script


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1000])
def test_frames_survive_any_cut(step: int) -> None:
    sent = [(Kind.FILES, bytes(range(256))), (Kind.FILES, b""), (Kind.JOB, b"{}"), (Kind.STOP, b"")]
    stream = b"".join(frame(kind, data) for kind, data in sent)
    decoder = Decoder()
    got = [
        each
        for begin in range(0, len(stream), step)
        for each in decoder.feed(stream[begin : begin + step])
    ]
    assert got == sent


def test_words_of_the_command_are_passed_as_they_are() -> None:
    argv = ["a b", "'", '"', "$HOME", "", "\n", "*", "ü"]
    assert Job(argv).described()["argv"] == argv


def test_hosts_of_one_snapshot_get_seeds_of_their_own() -> None:
    job = Job(["true"])
    assert job.described()["entropy"] != job.described()["entropy"]


def test_a_counted_job_is_the_same_each_time() -> None:
    job = Job(["true"])
    assert job.described(counted=True) == job.described(counted=True)
    assert job.described(counted=True)["env"]["PYTHONHASHSEED"] == "0"


@pytest.mark.parametrize(("command", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_status_is_the_shells(command: str, status: int) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ)
    assert exit_status(os.waitpid(pid, 0)[1]) == status


def test_writing_to_a_pipe_that_nobody_reads_ends_at_the_deadline() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(TimeoutError):
            write_all(write, bytes(1 << 20), time.monotonic() + 0.2)
    finally:
        os.close(read)
        os.close(write)


def _module(name: str, *needs: str) -> bytes:
    return b"\x7fELF\0" + f"name={name}\0depends={','.join(needs)}\0vermagic=x\0".encode()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "6.99/kernel/drivers"
    folder.mkdir(parents=True)
    (folder / "top-module.ko.xz").write_bytes(lzma.compress(_module("top_module", "mid", "built")))
    (folder / "mid.ko").write_bytes(_module("mid", "low"))
    (folder / "low.ko").write_bytes(_module("low"))
    (tmp_path / "6.99/modules.builtin").write_text("kernel/lib/built.ko\n")
    return tmp_path / "6.99"


def test_modules_come_after_what_they_need(tree: Path) -> None:
    for wanted in ("top-module", "top_module"):
        order = [plain_name(path.name) for path, _ in in_loading_order([wanted, "low"], tree)]
        assert order == ["low", "mid", "top_module"]
    assert in_loading_order(["built"], tree) == []


def test_compressed_modules_travel_uncompressed(tree: Path) -> None:
    assert all(data.startswith(b"\x7fELF") for _, data in in_loading_order(["top_module"], tree))


def test_an_unknown_module_is_named(tree: Path) -> None:
    with pytest.raises(UsageError, match="nonesuch"):
        in_loading_order(["nonesuch"], tree)


def test_console_scripts_call_their_function(tmp_path: Path) -> None:
    text = script("pykvm.cli:main").decode()
    compile(text, "script", "exec")
    assert text.startswith("#!/usr/bin/python3\n")
    assert "from pykvm.cli import main" in text
