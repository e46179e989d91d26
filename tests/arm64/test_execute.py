# SPDX-License-Identifier: Apache-2.0
"""The guest that runs instructions on request: what other tests conclude from it holds."""

from __future__ import annotations

from guests import words

from tests.arm64.execute import CODE_GPA, executed
from tests.arm64.spis import Tiny

MIDR_EL1 = (3, 0, 0, 0, 0)
TPIDR_EL0 = (3, 3, 13, 0, 2)


def test_arguments_come_back(tiny: Tiny) -> None:
    there = executed(tiny, words.NOP, x=(1, 2, 3, 4, 5, 2**64 - 1))
    assert there.x == (1, 2, 3, 4, 5, 2**64 - 1, 0, 0)
    assert there.exceptions == there.interrupts == 0


def test_a_system_register_is_written_and_read(tiny: Tiny) -> None:
    there = executed(tiny, words.msr(TPIDR_EL0, 1), words.mrs(0, TPIDR_EL0), x=(0, 0x1234))
    assert there.x[0] == 0x1234


def test_exceptions_are_skipped_and_told(tiny: Tiny) -> None:
    there = executed(
        tiny, words.brk(5), words.mrs(0, (3, 7, 15, 15, 7)), words.mov(1, 2), x=(7, 0, 9)
    )
    assert there.exceptions == 2
    assert there.esr >> 26 == 0, "an unknown register is an undefined instruction"
    assert there.elr == CODE_GPA + 4
    assert there.x[:2] == (7, 9), "what took the exception did nothing, what follows ran"
