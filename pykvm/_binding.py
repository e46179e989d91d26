# SPDX-License-Identifier: Apache-2.0
"""What irqfds and ioeventfds share: a registration in KVM that an object owns."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING

from pykvm._descriptor import Closing, HasFileno
from pykvm.eventfd import EventFd, trigger_eventfd

if TYPE_CHECKING:
    from pykvm._vmcore import VmCore
    from pykvm.interrupts import Interrupts

__all__ = ["Binding"]


class Binding(Closing):
    """An eventfd registered with a VM; undone by ``close()``, or with the VM.

    Undoing comes before closing the eventfd: KVM keeps what it was told as long as anybody has the
    eventfd open, and an ioeventfd for ever.
    """

    __slots__ = ("__weakref__", "_core", "_event", "_vm")

    def __init__(self, vm: Interrupts, core: VmCore, given: int | HasFileno | None) -> None:
        self._core: VmCore | None = None
        self._vm = weakref.ref(vm)
        self._event: EventFd = trigger_eventfd(given)
        try:
            self._assign(core)
        except BaseException:
            self._let_go()
            self._event.close()
            raise
        self._event._bound_to = type(self).__name__
        self._core = core

    def _assign(self, core: VmCore) -> None:
        """Tells KVM."""

    def _deassign(self, core: VmCore) -> None:
        """Takes it back."""

    def _let_go(self) -> None:
        """Gives up what else it holds, after KVM and before the eventfd."""

    @property
    def closed(self) -> bool:
        """Whether close() was called, here or by what it belongs to."""
        return self._core is None

    def close(self) -> None:
        """Takes the registration back from KVM, then closes the duplicate of the eventfd."""
        core, self._core = self._core, None
        if core is None:
            return
        vm = self._vm()
        if vm is not None:
            vm._children.forget(self)
        try:
            core.take_back(lambda: self._deassign(core))
        finally:
            self._let_go()
            self._event._bound_to = ""
            self._event.close()

    # Bound here because at the interpreter's end the module's names may be gone.
    def __del__(self, _suppress: type[contextlib.suppress] = contextlib.suppress) -> None:
        with _suppress(Exception):  # half made, perhaps, and nobody is left to be told
            self.close()
