# SPDX-License-Identifier: Apache-2.0
"""What is told of a program that stands still."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tests.arm64.vmm.standstill import standing, under_way

_STATE = """\
Distributor
===========
vgic_model:\tGICv3
P=pending_latch, L=line_level, A=active

VCPU 0 TYP   ID TGT_ID PLAEHCG     HWID   TARGET SRC PRI VCPU_ID
----------------------------------------------------------------
       PPI   27      0 0001101       27        0   0 160      0
SPI  0 TYP   ID TGT_ID PLAEHCG     HWID   TARGET SRC PRI VCPU_ID
       SPI   33      0 1101011        0        0   0 160     -1
       SPI   96      0 0001011        0        0   0 160     -1
"""


def test_where_each_thread_is() -> None:
    told = standing(os.getpid()).splitlines()
    assert told[1] == f"--- process {os.getpid()}:"
    assert any(line.startswith(f"{threading.get_native_id()} ") for line in told)


def test_interrupts_that_are_up(tmp_path: Path) -> None:
    state = tmp_path / "vgic-state"
    state.write_text(_STATE)
    assert [line.split()[:3] for line in under_way(state)] == [
        ["VCPU", "0", "TYP"], ["SPI", "0", "TYP"], ["SPI", "33", "0"],
    ]  # fmt: skip
    assert not list(under_way(tmp_path / "gone"))
