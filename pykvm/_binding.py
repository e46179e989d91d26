# SPDX-License-Identifier: Apache-2.0
"""What irqfds and ioeventfds share: a registration in KVM that an object owns."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

from pykvm._descriptor import Closing, HasFileno
from pykvm.errors import KvmError
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

    __slots__ = ("__weakref__", "_closing", "_core", "_event", "_vm")

    def __init__(self, vm: Interrupts, core: VmCore, given: int | HasFileno | None) -> None:
        self._core: VmCore | None = None
        # Reentrant: a collection in the middle of close() may find the object and close it.
        self._closing = threading.RLock()
        self._vm = weakref.ref(vm)
        self._event: EventFd = trigger_eventfd(given)
        try:
            self._event._bound_to = type(self).__name__
            self._core = core
            self._assign(core)
        except (KvmError, ValueError):
            self._release()  # refused: taking it back might hit the one that is there
            raise
        except BaseException:
            self.close()  # a signal's handler raised: KVM may have it
            raise

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
        """Takes the registration back from KVM, then closes the duplicate of the eventfd.

        It is done when this returns, whoever began it. Where a signal's handler raises meanwhile,
        it is not closed yet: close it again.
        """
        core = self._core
        if core is None:
            return
        if core.inherited:  # the parent's, and the lock as a thread of the parent's left it
            self._release()
            return
        with self._closing:
            if self._core is None:
                return
            try:
                if not self._event.closed:  # else a handler interrupted what follows
                    core.take_back(lambda: self._deassign(core))
            except KvmError:
                self._release()
                raise
            self._release()

    def _release(self) -> None:
        """What follows once KVM has let go. Again is harmless."""
        self._let_go()
        self._event._bound_to = ""
        self._event.close()
        vm = self._vm()
        if vm is not None:
            vm._children.forget(self)
        self._core = None

    # Bound here because at the interpreter's end the module's names may be gone.
    def __del__(self, _suppress: type[contextlib.suppress] = contextlib.suppress) -> None:
        with _suppress(Exception):  # half made, perhaps, and nobody is left to be told
            self.close()
