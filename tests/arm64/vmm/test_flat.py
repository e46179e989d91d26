# SPDX-License-Identifier: Apache-2.0
"""A few instructions in the minimal VMM: what it does without a Linux, and how it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from guests import words

from tests.arm64.vmm.flat import HELLO, NOTHING, command, constant, ended, psci, run
from tests.arm64.vmm.linux import PATIENCE


def test_it_is_started_with_the_device_tree(tmp_path: Path) -> None:
    # The first byte of what x0 points to is printed: 0xd0, of a tree's magic number.
    told = [words.ldr_w(11, 0), constant(10, 0), words.str_w(11, 10), *psci(1)]
    dump = tmp_path / "dtb"
    done = subprocess.run(
        command(tmp_path, told, "--dtb-dump", str(dump)),
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\xd0", b"")
    assert dump.read_bytes()[:4] == b"\xd0\x0d\xfe\xed"


def test_a_reset_begins_anew_or_ends_with_3(tmp_path: Path) -> None:
    done = run(tmp_path, [*HELLO, *psci(2)], "--no-reboot")
    assert ended(done) == (3, "up\n", "")


def test_what_is_not_there_reads_as_zero_or_is_a_crash(tmp_path: Path) -> None:
    # Prints what it finds where nothing is, plus 'A'.
    told = [
        constant(10, 0), constant(12, 3), words.str_w(10, 12), words.ldr_w(13, 12),
        words.add(11, 13, ord("A")), words.str_w(11, 10), *psci(1),
    ]  # fmt: skip
    assert ended(run(tmp_path, told, constants=[NOTHING])) == (0, "A", "")
    status, said, errors = ended(run(tmp_path, told, "--strict", constants=[NOTHING]))
    assert (status, said) == (1, "")
    assert "store of 4 at 0xb000000, where no device is" in errors


def test_an_access_that_kvm_cannot_describe_is_a_crash(tmp_path: Path) -> None:
    told = [*HELLO, constant(12, 3), words.ldp(13, 14, 12), *psci(1)]
    status, said, errors = ended(run(tmp_path, told, constants=[NOTHING]))
    assert (status, said) == (1, "up\n")
    assert "vCPU 0 at pc 0x4008" in errors


def test_statistics_name_what_left_the_guest(tmp_path: Path) -> None:
    done = run(tmp_path, [*HELLO, *psci(1)], "--stats")
    assert (done.returncode, done.stdout) == (0, "up\n")
    assert "store UART +0x0" in done.stderr
    assert "set-up" in done.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--cpus", "1000"], "CPUs at most"),
        (["--memory", "2M"], "too little"),
        (["--uart-address", "0x8000000"], "overlaps the GIC"),
        (["--uart-address", "0x40000000"], "overlaps memory"),
        (["--tap", "no/such"], "tap no/such: "),
    ],
)
def test_what_this_host_cannot_give_is_told_in_one_line(
    tmp_path: Path, given: list[str], message: str
) -> None:
    done = run(tmp_path, HELLO, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_gic_that_the_host_lacks_is_told(tmp_path: Path) -> None:
    told = [run(tmp_path, [*HELLO, *psci(1)], "--gic", which) for which in ("2", "3")]
    assert 0 in [done.returncode for done in told]
    for done in told:
        if done.returncode:
            assert done.returncode == 2
            assert "this host cannot give a VM a GICv" in done.stderr
