# SPDX-License-Identifier: Apache-2.0
"""What is known of a VM's interrupt routing table.

KVM_IRQFD takes any gsi and drops the signals of an unrouted one in silence, and the kernel has no
call that reads the table back. So the VM keeps a shadow, to say at once what would never work.
"""

from __future__ import annotations

__all__ = ["FIRST_SPI", "LAST_SPI", "RoutingShadow"]

FIRST_SPI = 32
LAST_SPI = 1019
#: No table can have an entry from here on (KVM_CAP_IRQ_ROUTING answers it).
MAX_GSIS = 4096


class RoutingShadow:
    """The gsis that have a route, as far as one can know."""

    __slots__ = ("_gsis",)

    def __init__(self, *, known: bool) -> None:
        self._gsis: frozenset[int] | range | None = frozenset() if known else None

    def forget(self) -> None:
        """Something may have changed the table unseen: refuse nothing any more."""
        self._gsis = None

    def set_default(self, nr_irqs: int) -> None:
        """The GIC was initialised: the kernel routed every SPI, gsi = intid - 32."""
        self._gsis = range(nr_irqs - FIRST_SPI)

    def check(self, gsi: int) -> None:
        """ValueError where signals of ``gsi`` would be dropped."""
        if gsi >= MAX_GSIS:
            raise ValueError(
                f"gsi {gsi} can have no route (the table ends at {MAX_GSIS - 1}): its signals "
                f"would be dropped in silence. allow_unrouted=True binds it all the same"
            )
        # An empty table: the GIC is missing or not initialised, and the kernel will say that.
        if not self._gsis or gsi in self._gsis:
            return
        raise ValueError(
            f"gsi {gsi} (intid {gsi + FIRST_SPI}) has no route: this VM's table has gsi 0 to "
            f"{max(self._gsis)}. Its signals would be dropped in silence; give the GIC more "
            f"nr_irqs, or bind it all the same with allow_unrouted=True"
        )
