# SPDX-License-Identifier: Apache-2.0
"""What a VM's children share with it: the descriptor, and how they are found and closed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import weakref
from _thread import RLock
from collections.abc import Callable
from typing import Any

from pykvm._bus import Bus
from pykvm._descriptor import Descriptor
from pykvm.errors import KvmBusyError, KvmError
from pykvm.routing import RoutingShadow

__all__ = ["Children", "VmCore"]


class VmCore(Descriptor):
    """The VM's descriptor, and the little that its children need of it.

    Children hold this, never the VM: that keeps the kernel's VM open as long as one of them is
    used, without a cycle.
    """

    __slots__ = (
        "_ending", "bus", "coalesced_page", "dirty_ring_size", "gic_ready", "is_due", "is_owned",
        "lazy_gicv2", "mmap_size", "routing", "routing_lock", "slots", "vcpu_ids",
    )  # fmt: skip

    def __init__(self, fd: int, mmap_size: int) -> None:
        super().__init__(fd, "VM")
        self._ending = RLock()
        self.bus = Bus()
        #: Whether a VM object lives, which takes back what it holds when it ends.
        self.is_owned = False
        #: Whether the collector was here before the VM object's finalizer: in a cycle it may be.
        self.is_due = False
        self.mmap_size = mmap_size
        #: Page of the ring of coalesced stores in a vCPU's mapping, once somebody asked.
        self.coalesced_page: int | None = None
        #: Bytes of each vCPU's dirty ring; 0 where the VM has none.
        self.dirty_ring_size = 0
        #: A GICv2 made here that nobody initialised: the kernel would, behind our back.
        self.lazy_gicv2 = False
        #: Whether init() was called here: from then on nobody but us changes the routing table.
        self.gic_ready = False
        #: Held from the ioctl that changes the table to the shadow that shows it. Reentrant, as a
        #: signal handler may change it too.
        self.routing_lock = RLock()
        self.routing = RoutingShadow()
        #: Numbers of memory slots in use, each with what keeps its memory mapped. It is here and
        #: not in the MemorySlot: while a vCPU can run, no memory goes that the kernel may show it.
        self.slots: dict[int, object] = {}
        #: The numbers of all vCPUs; None where some may have been made elsewhere.
        self.vcpu_ids: list[int] | None = []

    def take_back(self, undo: Callable[[], None]) -> None:
        """Calls ``undo``, which takes something from KVM, where there may be something to take.

        The descriptor stays open meanwhile, whoever closes the VM: once closed, its number may be
        another VM's.
        """
        if self.inherited:  # the parent's, and the lock as a thread of the parent's left it
            return
        with self._ending:
            if self.fd < 0:
                return
            try:
                undo()
            except KvmError as refusal:
                # A VM that is dead and runs no guest again, or somebody else took it back.
                if refusal.errno not in (errno.EIO, errno.ENOENT):
                    raise

    def close(self) -> None:
        if self.inherited:
            super().close()
            return
        with self._ending:
            super().close()

    def __del__(self, _suppress: type[contextlib.suppress] = contextlib.suppress) -> None:
        with _suppress(Exception):
            if self.is_owned:
                self.is_due = True
            else:
                self.close()

    def disown(self) -> None:
        """The VM object ends, and has taken everything back."""
        self.is_owned = False
        if self.is_due:
            self.close()

    def take_slot(self, slot: int | None) -> int:
        """A slot number that was free: the lowest, or the one that is wanted."""
        taker = object()
        for number in itertools.count() if slot is None else (slot,):
            if self.slots.setdefault(number, taker) is taker:  # atomic: no other thread gets it
                return number
        raise ValueError(f"slot {slot} is in use: close its MemorySlot first")

    def leave_slot(self, slot: int) -> None:
        """The kernel has nothing in this slot any more."""
        self.slots.pop(slot, None)

    def refuse_lazy_gicv2(self, ioctl: str) -> None:
        if self.inherited:  # the kernel refuses a forked child everything
            return
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

    __slots__ = ("_getters",)

    def __init__(self) -> None:
        #: By id(), which is nobody else's while the child lives. Each operation is a single one of
        #: dict: threads may add and forget at the same time, and a collection at any point.
        self._getters: dict[int, Callable[[], Any]] = {}

    def hold(self, child: object) -> None:
        self._getters[id(child)] = lambda: child

    def know(self, child: object) -> None:
        number, getters = id(child), self._getters
        getters[number] = weakref.ref(child, lambda _: getters.pop(number, None))

    def forget(self, child: object) -> None:
        self._getters.pop(id(child), None)

    def newest_first(self) -> list[Any]:
        """Every child that exists."""
        found = [getter() for getter in reversed(self._getters.copy().values())]
        return [child for child in found if child is not None]

    def held(self) -> list[Any]:
        """The ones that only the VM may be holding, newest first."""
        getters = reversed(self._getters.copy().values())
        return [getter() for getter in getters if not isinstance(getter, weakref.ref)]

    def clear(self) -> None:
        self._getters.clear()
