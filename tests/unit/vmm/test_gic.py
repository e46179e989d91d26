# SPDX-License-Identifier: Apache-2.0
"""Which interrupt controller a guest gets, by what its host has."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import pytest
from minivmm import gic
from minivmm.endings import BadInput
from minivmm.layout import GICR, GICR_ROOM, MORE_GICR

from pykvm import VM, DeviceType

V2, V3, ITS = DeviceType.ARM_VGIC_V2, DeviceType.ARM_VGIC_V3, DeviceType.ARM_VGIC_ITS


def host(*has: DeviceType) -> VM:
    """A host that can make these."""

    class Host:
        def has_device(self, kind: DeviceType) -> bool:
            return kind in has

    return cast(VM, Host())


@pytest.mark.parametrize(
    ("has", "wanted", "version", "its"),
    [
        ([V2], None, 2, False),
        ([V3], None, 3, False),
        ([V3, ITS], None, 3, True),
        ([V2, V3, ITS], None, 3, True),
        ([V2, V3, ITS], "3", 3, False),
        ([V2, V3, ITS], "2", 2, False),
        ([V2, V3, ITS], "its", 3, True),
    ],
)
def test_the_most_that_there_is_or_what_was_asked_for(
    has: Collection[DeviceType], wanted: str | None, version: int, its: bool
) -> None:
    chosen = gic.choose(host(*has), wanted, 1)
    assert (chosen.version, chosen.has_its) == (version, its)


@pytest.mark.parametrize(
    ("has", "wanted", "cpus", "message"),
    [
        ([V2], "3", 1, "cannot give a VM a GICv3 .it has: GICv2"),
        ([V3], "its", 1, "a GICv3 with ITS"),
        ([], None, 1, "cannot give a VM any GIC .it has: none"),
        ([V2], None, 9, "serves 8 CPUs at most, not 9"),
        ([V3], None, 513, "serves 512 CPUs at most, not 513"),
    ],
)
def test_what_cannot_be_is_told(
    has: Collection[DeviceType], wanted: str | None, cpus: int, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        gic.choose(host(*has), wanted, cpus)


def test_redistributors_of_many_cpus_take_a_second_region() -> None:
    few, many = (gic.choose(host(V3), None, cpus).redistributors for cpus in (GICR_ROOM, 200))
    assert few == [(GICR, GICR_ROOM)]
    assert many == [(GICR, GICR_ROOM), (MORE_GICR, 200 - GICR_ROOM)]
