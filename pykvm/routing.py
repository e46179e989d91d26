# SPDX-License-Identifier: Apache-2.0
"""Interrupt routing: where each gsi leads, and what is known of a VM's table.

KVM_IRQFD takes any gsi and drops the signals of an unrouted one in silence, and the kernel has no
call that reads the table back. So the VM keeps a shadow, to say at once what would never work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pykvm._descriptor import check_int
from pykvm._native import ffi, lib

__all__ = ["FIRST_SPI", "LAST_SPI", "MsiRoute", "Route", "RoutingShadow", "SpiRoute"]

FIRST_SPI = 32
LAST_SPI = 1019
#: No table can have an entry from here on (KVM_CAP_IRQ_ROUTING answers it).
MAX_GSIS = 4096


class SpiRoute(NamedTuple):
    """``gsi`` leads to the shared peripheral interrupt ``intid``, 32 to 1019.

    The kernel calls it an irqchip route, with pin = intid - 32.
    """

    gsi: int
    intid: int


class MsiRoute(NamedTuple):
    """``gsi`` leads to a message-signalled interrupt: an LPI of the ITS.

    ``address`` is the doorbell's gpa (the ITS's + 0x10040), ``data`` the event, ``devid`` the
    device; None only where no ITS asks for it.
    """

    gsi: int
    address: int
    data: int
    devid: int | None = None


Route = SpiRoute | MsiRoute


def pack_routes(routes: Iterable[Route]) -> tuple[Any, dict[int, Route]]:
    """The kernel's table of these routes, and the routes by gsi. ValueError what cannot be."""
    by_gsi: dict[int, Route] = {}
    try:
        given = list(routes)
    except TypeError:
        raise TypeError(f"routes must be several, not {type(routes).__name__}") from None
    for route in given:
        if not isinstance(route, (SpiRoute, MsiRoute)):
            raise TypeError(f"a route is a SpiRoute or a MsiRoute, not {type(route).__name__}")
        check_int("gsi", route.gsi, 0, MAX_GSIS - 1)
        if route.gsi in by_gsi:
            raise ValueError(f"gsi {route.gsi} has two routes; the kernel allows one")
        by_gsi[route.gsi] = route
    table = ffi.new("struct kvm_irq_routing *", {"entries": len(by_gsi)})
    table.nr = len(by_gsi)
    for entry, route in zip(table.entries, by_gsi.values(), strict=True):
        entry.gsi = route.gsi
        if isinstance(route, SpiRoute):
            entry.type = lib.KVM_IRQ_ROUTING_IRQCHIP
            intid = check_int("intid", route.intid, FIRST_SPI, LAST_SPI)
            entry.u.irqchip.pin = intid - FIRST_SPI
            continue
        entry.type = lib.KVM_IRQ_ROUTING_MSI
        address = check_int("address", route.address, 0, 2**64 - 1)
        entry.u.msi.address_lo = address & 0xFFFF_FFFF
        entry.u.msi.address_hi = address >> 32
        entry.u.msi.data = check_int("data", route.data, 0, 2**32 - 1)
        if route.devid is not None:
            entry.u.msi.devid = check_int("devid", route.devid, 0, 2**32 - 1)
            entry.flags = lib.KVM_MSI_VALID_DEVID
    return table, by_gsi


class RoutingShadow:
    """The gsis that have a route, as far as one can know.

    Nothing is known of a VM made elsewhere, after a raw ioctl, and before the GIC's init(), where
    the kernel itself refuses to bind.
    """

    __slots__ = ("_routes",)

    def __init__(self) -> None:
        self._routes: Mapping[int, Route] | None = None

    def forget(self) -> None:
        """Something may have changed the table unseen: refuse nothing any more."""
        self._routes = None

    def set_default(self, nr_irqs: int) -> None:
        """The GIC was initialised: the kernel routed every SPI, gsi = intid - 32."""
        gsis = range(nr_irqs - FIRST_SPI)
        self._routes = {gsi: SpiRoute(gsi, gsi + FIRST_SPI) for gsi in gsis}

    def known(self) -> Mapping[int, Route] | None:
        """The routes by gsi; None where nothing is known."""
        return self._routes

    def set(self, routes: Mapping[int, Route] | None) -> None:
        """The table was replaced."""
        self._routes = routes

    def gsi_of(self, intid: int) -> int:
        """The gsi that leads to this SPI: the last of several, which hears of its ends.

        ValueError where there is none; as init() would route it where nothing is known.
        """
        routes = self._routes  # once: another thread may forget it
        if routes is None:
            return intid - FIRST_SPI
        spis = {r.intid: r.gsi for r in routes.values() if isinstance(r, SpiRoute)}
        if intid not in spis:
            shown = f"intid {_ranges(spis)}" if spis else "no SPI"
            raise ValueError(
                f"no gsi leads to intid {intid}: this VM's table has {shown}. Its signals would be "
                f"dropped in silence; give the GIC more nr_irqs, or set_gsi_routing(). (Only a gsi "
                f"can be bound without a route: gsi= with allow_unrouted=True)"
            )
        return spis[intid]

    def check(self, gsi: int, *, resample: bool = False) -> None:
        """ValueError where signals of ``gsi``, or their ends, would go nowhere."""
        if gsi >= MAX_GSIS:
            raise ValueError(
                f"gsi {gsi} can have no route (the table ends at {MAX_GSIS - 1}): its signals "
                f"would be dropped in silence. allow_unrouted=True binds it all the same"
            )
        routes = self._routes
        if routes is None:
            return
        route = routes.get(gsi)
        if route is None:
            raise ValueError(
                f"gsi {gsi} has no route: this VM's table has gsi {_ranges(routes) or '-'}. "
                f"Its signals would be dropped in silence; give the GIC more nr_irqs or "
                f"set_gsi_routing(), or bind it all the same with allow_unrouted=True"
            )
        if resample:
            self._check_resample(route, routes.values())

    @staticmethod
    def _check_resample(route: Route, routes: Iterable[Route]) -> None:
        """The end of an interrupt reaches only the last gsi of its pin, and no MSI."""
        if isinstance(route, MsiRoute):
            raise ValueError(
                f"gsi {route.gsi} leads to an MSI, which has no level to lower: its resamplefd "
                f"would never fire (allow_unrouted=True binds it all the same)"
            )
        last = [r.gsi for r in routes if isinstance(r, SpiRoute) and r.intid == route.intid][-1]
        if last != route.gsi:
            raise ValueError(
                f"gsi {route.gsi} shares intid {route.intid} with gsi {last}, which comes later in "
                f"the table: the kernel reports the end to that one alone, and the interrupt would "
                f"come without end. Bind gsi {last} (allow_unrouted=True binds this all the same)"
            )


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers for a person: ``0-95, 100``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:5]]
    return ", ".join(shown) + (", …" if len(runs) > 5 else "")
