# SPDX-License-Identifier: Apache-2.0
"""The README's programs do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from guests import arguments
from tally import wait_for

import pykvm
from tests.arm64.conftest import PATIENCE
from tests.arm64.spis import Tiny, arrives, ready, started
from tests.properties import holds

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_thirty_lines() -> None:
    program = blocks()[0]
    assert len(program.splitlines()) <= 35
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the guest stored 2a000000 at 0xa000000\nx5 is 7\n"


def test_the_interrupt() -> None:
    setup = (
        "from pykvm import *\n"
        "vm = Kvm().create_vm()\n"
        "vm.create_vcpu(0).arm_vcpu_init([VcpuFeature.PSCI_0_2])\n"
    )
    program = blocks()[1]
    if not holds("vgicv3"):
        program = program.replace("redist_addr = 0x080A_0000", "cpu_addr = 0x0801_0000")
    done = subprocess.run(
        [sys.executable, "-c", setup + program + "vm.close()\n"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_level_line(tiny: Tiny) -> None:
    machine = started(tiny, trigger="level", ack_device=True)
    queue: list[str] = []
    with machine.running(lambda exit: queue.clear()):
        ready(machine)
        exec(blocks()[2], {**vars(pykvm), "vm": machine.vm, "queue": queue})
        assert arrives(machine, 1)
    assert not queue


@pytest.mark.needs("its")
def test_the_msi(tiny: Tiny) -> None:
    before, _, after = blocks()[3].partition("vm.set_gsi_routing")
    machine = tiny("lpi")
    stage = {**vars(pykvm), "vm": machine.vm}
    exec(before, stage)
    machine.set_registers(arguments.lpi(device_id=8))
    with machine.running():
        ready(machine)
        exec("vm.set_gsi_routing" + after, stage)
        # Two messages, one after the other: they may be one interrupt.
        assert wait_for(lambda: machine.report.lpi_ended(0), 1, PATIENCE)
