# SPDX-License-Identifier: Apache-2.0
"""RoutingShadow: which gsis would be dropped in silence, as far as one can know."""

from __future__ import annotations

import pytest

from pykvm.routing import (
    FIRST_SPI,
    LAST_SPI,
    MsiRoute,
    Route,
    RoutingShadow,
    SpiRoute,
    pack_routes,
)


def test_the_default_table() -> None:
    shadow = RoutingShadow()
    shadow.set_default(256)
    for gsi in (0, 8, 223):
        shadow.check(gsi, resample=True)
        assert shadow.gsi_of(gsi + 32) == gsi
    with pytest.raises(ValueError) as caught:
        shadow.check(224)
    assert "gsi 224 has no route: this VM's table has gsi 0-223" in str(caught.value)
    assert "allow_unrouted=True" in str(caught.value)
    with pytest.raises(ValueError, match=r"no gsi leads to intid 256: .* has intid 32-255"):
        shadow.gsi_of(256)


def test_the_unknown_refuses_nothing_that_could_be() -> None:
    fresh, forgotten = RoutingShadow(), RoutingShadow()
    forgotten.set_default(64)
    forgotten.forget()
    for shadow in (fresh, forgotten):
        shadow.check(4095, resample=True)
        assert shadow.gsi_of(1019) == 987


def test_the_end_of_every_table() -> None:
    unknown, known = RoutingShadow(), RoutingShadow()
    known.set_default(64)
    for shadow in (unknown, known):
        with pytest.raises(ValueError, match="gsi 4096 can have no route"):
            shadow.check(4096)


def test_a_later_init_replaces_it() -> None:
    shadow = RoutingShadow()
    shadow.set({0: SpiRoute(0, 40)})
    shadow.set_default(64)
    shadow.check(31)
    assert shadow.gsi_of(40) == 8
    with pytest.raises(ValueError, match="gsi 32"):
        shadow.check(32)


def test_a_table_of_ones_own() -> None:
    routes: list[Route] = [
        SpiRoute(0, 50),
        SpiRoute(7, 40),
        SpiRoute(9, 40),
        MsiRoute(11, 0x8090040, 3, 8),
    ]
    shadow = RoutingShadow()
    _, by_gsi = pack_routes(routes)
    shadow.set(by_gsi)
    for route in routes:
        shadow.check(route.gsi)
    assert (shadow.gsi_of(50), shadow.gsi_of(40)) == (0, 9)
    with pytest.raises(
        ValueError, match=r"no gsi leads to intid 41: .* has intid 40, 50\..*gsi= with allow"
    ):
        shadow.gsi_of(41)
    with pytest.raises(ValueError, match=r"gsi 8 has no route: .* has gsi 0, 7, 9, 11"):
        shadow.check(8)
    shadow.check(9, resample=True)
    with pytest.raises(ValueError, match=r"gsi 7 shares intid 40 with gsi 9.*Bind gsi 9"):
        shadow.check(7, resample=True)
    with pytest.raises(ValueError, match="gsi 11 leads to an MSI, which has no level"):
        shadow.check(11, resample=True)


def test_an_empty_table_has_nothing() -> None:
    shadow = RoutingShadow()
    shadow.set({})
    with pytest.raises(ValueError, match="gsi 0 has no route"):
        shadow.check(0)
    with pytest.raises(ValueError, match="intid 32: this VM's table has no SPI"):
        shadow.gsi_of(32)


def test_the_kernels_form() -> None:
    routes: list[Route] = [MsiRoute(11, 2**40 + 0x40, 3, 8), SpiRoute(0, 32)]
    table, by_gsi = pack_routes(iter(routes))
    assert list(by_gsi) == [11, 0]
    assert (table.nr, table.flags) == (2, 0)
    msi, spi = table.entries[0], table.entries[1]
    assert (msi.gsi, msi.type, msi.flags) == (11, 2, 1)
    assert (msi.u.msi.address_lo, msi.u.msi.address_hi) == (0x40, 0x100)
    assert (msi.u.msi.data, msi.u.msi.devid) == (3, 8)
    assert (spi.gsi, spi.type, spi.flags) == (0, 1, 0)
    assert (spi.u.irqchip.irqchip, spi.u.irqchip.pin) == (0, 0)
    anonymous, _ = pack_routes([MsiRoute(1, 0, 0)])
    assert anonymous.entries[0].flags == 0


def test_spis() -> None:
    assert (FIRST_SPI, LAST_SPI) == (32, 1019)
