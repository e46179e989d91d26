# SPDX-License-Identifier: Apache-2.0
"""What a VM's children share with it: the descriptor, and how they are found and closed."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Callable
from typing import Any

from pykvm._descriptor import Descriptor
from pykvm.errors import KvmBusyError
from pykvm.routing import RoutingShadow

__all__ = ["Children", "VmCore"]


class VmCore(Descriptor):
    """The VM's descriptor, and the little that its children need of it.

    Children hold this, never the VM: that keeps the kernel's VM open as long as one of them is
    used, without a cycle.
    """

    __slots__ = ("lazy_gicv2", "mmap_size", "routing")

    def __init__(self, fd: int, mmap_size: int, *, made_here: bool) -> None:
        super().__init__(fd, "VM")
        self.mmap_size = mmap_size
        #: A GICv2 made here that nobody initialised: the kernel would, behind our back.
        self.lazy_gicv2 = False
        self.routing = RoutingShadow(known=made_here)

    def refuse_lazy_gicv2(self, ioctl: str) -> None:
        raise KvmBusyError(
            errno.EBUSY,
            ioctl,
            {},
            "The VM's GICv2 was not initialised. The kernel would do it now, in silence, and "
            "rewrite the interrupt routing: call the Vgic's init() after creating every vCPU, or "
            "make it with allow_implicit_init=True.",
        )


class Children:
    """The objects of a VM in the order in which they were made.

    It holds bindings and slots, which stay in force when nobody keeps them; of vCPUs and devices
    it only knows, while somebody else holds them.
    """

    __slots__ = ("_getters", "_next")

    def __init__(self) -> None:
        self._getters: dict[int, Callable[[], Any]] = {}
        self._next = 0

    def _add(self, getter: Callable[[], Any]) -> None:
        self._getters[self._next] = getter
        self._next += 1

    def hold(self, child: object) -> None:
        self._add(lambda: child)

    def know(self, child: object) -> None:
        number, getters = self._next, self._getters
        self._add(weakref.ref(child, lambda _: getters.pop(number, None)))

    def forget(self, child: object) -> None:
        for number, getter in list(self._getters.items()):
            if getter() is child:
                self._getters.pop(number, None)

    def newest_first(self) -> list[Any]:
        """Every child that exists."""
        found = (getter() for getter in reversed(list(self._getters.values())))
        return [child for child in found if child is not None]

    def held(self) -> list[Any]:
        """The ones that only the VM may be holding, newest first."""
        getters = reversed(list(self._getters.values()))
        return [getter() for getter in getters if not isinstance(getter, weakref.ref)]

    def clear(self) -> None:
        self._getters.clear()
