# SPDX-License-Identifier: Apache-2.0
"""RoutingShadow: which gsis would be dropped in silence, as far as one can know."""

from __future__ import annotations

import pytest

from pykvm.routing import FIRST_SPI, LAST_SPI, RoutingShadow


def test_the_default_table() -> None:
    shadow = RoutingShadow(known=True)
    shadow.set_default(256)
    for gsi in (0, 8, 223):
        shadow.check(gsi)
    with pytest.raises(ValueError) as caught:
        shadow.check(224)
    assert "gsi 224 has no route: this VM's table has gsi 0-223" in str(caught.value)
    assert "allow_unrouted=True" in str(caught.value)


def test_before_the_gic_the_kernel_tells() -> None:
    RoutingShadow(known=True).check(5000 - 1000)


def test_the_unknown_refuses_nothing_that_could_be() -> None:
    for shadow in (RoutingShadow(known=False), RoutingShadow(known=True)):
        shadow.set_default(64)
        shadow.forget()
        shadow.check(4095)


def test_the_end_of_every_table() -> None:
    for shadow in (RoutingShadow(known=False), RoutingShadow(known=True)):
        with pytest.raises(ValueError, match="gsi 4096 can have no route"):
            shadow.check(4096)


def test_a_later_init_replaces_it() -> None:
    shadow = RoutingShadow(known=False)
    shadow.set_default(64)
    shadow.check(31)
    with pytest.raises(ValueError, match="gsi 32"):
        shadow.check(32)


def test_spis() -> None:
    assert (FIRST_SPI, LAST_SPI) == (32, 1019)
