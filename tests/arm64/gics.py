# SPDX-License-Identifier: Apache-2.0
"""Tests that are for each version of the GIC, and machines whose guest looks at its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from guests import layout, words
from tinyvm import TinyVm

from pykvm import Vgic, VgicV2, VgicV3
from tests.arm64.execute import executed, put

#: Where these tests put a GIC, to see that it is there and not where the tiny guests expect it.
DIST_GPA, CPU_GPA = 0x0900_0000, 0x0901_0000
SGI_FRAME = 0x1_0000


def each_gic(*rows: str) -> pytest.MarkDecorator:
    """Runs a test with a GICv2 and with a GICv3; it proves these attributes of each."""
    return pytest.mark.parametrize(
        "gic",
        [
            pytest.param(
                version,
                id=f"v{version}",
                marks=[
                    pytest.mark.needs(f"vgicv{version}"),
                    pytest.mark.covers(*(f"attr VGIC_V{version} {row}" for row in rows)),
                ],
            )
            for version in (2, 3)
        ],
    )


class Placed(TinyVm):
    """A machine whose GIC a function puts in place and initialises."""

    def __init__(self, guest: str, place: Callable[[Vgic], None], **options: Any) -> None:
        self._place = place
        super().__init__(guest, **options)

    def _make_gic(self, version: int | None) -> Vgic | None:
        vgic = self.vm.create_vgic(version)
        self._place(vgic)
        return vgic


def elsewhere(vgic: Vgic) -> None:
    """Puts the GIC where the tiny guests do not expect it."""
    vgic.dist_addr = DIST_GPA  # type: ignore[attr-defined]
    match vgic:
        case VgicV2():
            vgic.cpu_addr = CPU_GPA
        case VgicV3():
            vgic.redist_addr = CPU_GPA
    vgic.init()


def seen_at(machine: TinyVm, *gpas: int) -> tuple[int, ...]:
    """The words that the machine's guest, `execute`, loads from up to four addresses."""
    loads = (words.ldr_w(number, number) for number in range(len(gpas)))
    put(machine, *loads, x=gpas)
    machine.run()
    assert machine.report.done, machine.report.failure
    return machine.report.results[: len(gpas)]


def seen(tiny: Callable[..., TinyVm], gic: int, *gpas: int) -> tuple[int, ...]:
    """As :func:`seen_at`, with a new machine."""
    loads = (words.ldr_w(number, number) for number in range(len(gpas)))
    return executed(tiny, *loads, x=gpas, gic=gic).x[: len(gpas)]


#: Of the first CPU's redistributor, the registers of SGIs and PPIs.
GICR_SGI_GPA = layout.GICR_GPA + SGI_FRAME
