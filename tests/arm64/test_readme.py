# SPDX-License-Identifier: Apache-2.0
"""The README's programs do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
    if not _has_gicv3():
        program = program.replace("redist_addr = 0x080A_0000", "cpu_addr = 0x0801_0000")
    done = subprocess.run(
        [sys.executable, "-c", setup + program + "vm.close()\n"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def _has_gicv3() -> bool:
    from pykvm import DeviceType, Kvm

    with Kvm() as kvm, kvm.create_vm() as vm:
        return vm.has_device(DeviceType.ARM_VGIC_V3)
