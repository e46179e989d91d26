# SPDX-License-Identifier: Apache-2.0
"""A vCPU that runs in a thread of its own, and can be stopped."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Generator
from typing import Any

from pykvm._descriptor import Closing
from pykvm.errors import ClosedError, failure
from pykvm.eventfd import EventFd, check_timeout
from pykvm.exits import Exit, Interrupted
from pykvm.vcpu import Vcpu

__all__ = ["VcpuThread"]

_KICKED = Interrupted()


class VcpuThread(Closing):
    """Runs a vCPU in a thread, from now on; ``with`` stops it at the end.

    It ends at the first exit that ``handler`` does not take; :meth:`join` returns that exit, or
    raises what a handler raised. MMIO ranges are served on the way, in this thread.

    The thread is a daemon: it does not keep the interpreter from ending. Signals need nothing:
    Python runs their handlers in the main thread, which is free, as join() and stop() can be
    interrupted. In asyncio, ``await thread`` waits as join() does; any other loop can wait until
    :meth:`fileno` is readable (``trio.lowlevel.wait_readable(thread)``).

    Attributes: ``vcpu``.

    Synchronization: any thread; nobody else runs the vCPU meanwhile.
    """

    __slots__ = (
        "__weakref__", "_ended", "_failure", "_handler", "_last", "_leaving", "_lock", "_stopping",
        "_thread", "_told", "vcpu",
    )  # fmt: skip

    def __init__(
        self,
        vcpu: Vcpu,
        handler: Callable[[Exit], object] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """``handler(exit)`` is called with each exit; while it returns None, the guest goes on.

        Without one, the first exit ends the thread. ``name``: the thread's, "vCPU 0" by default.
        """
        if not isinstance(vcpu, Vcpu):
            raise TypeError(f"vcpu must be a Vcpu, not {type(vcpu).__name__}")
        if handler is not None and not callable(handler):
            raise TypeError(f"handler must be a function or None, not {type(handler).__name__}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a str or None, not {type(name).__name__}")
        self.vcpu = vcpu
        self._handler = handler
        self._failure: BaseException | None = None
        self._told = False
        self._last: Exit | None = None
        self._lock = threading.RLock()  # reentrant: a signal's handler may call stop(), too
        self._stopping = self._leaving = False
        #: Signalled once, and never read: it stays readable.
        self._ended = EventFd()
        self._thread = threading.Thread(
            target=self._body, name=name or f"vCPU {vcpu.vcpu_id}", daemon=True
        )
        self._thread.start()

    def _body(self) -> None:
        handler = self._handler
        try:
            while True:
                self._last = exit = self.vcpu.run()
                if handler is None or (self._stopping and exit == _KICKED):
                    break
                if handler(exit) is not None:
                    break
        except BaseException as raised:
            self._failure = raised
        finally:
            with self._lock:
                self._leaving = True
            if self._stopping:  # where it left by itself, the kick is still there
                self.vcpu._take_kick()
            self._ended.signal()
            del self  # what was raised knows this frame, which must not know it again: no cycle

    @property
    def ended(self) -> bool:
        """Whether the thread has ended, by itself or not."""
        return not self._thread.is_alive()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._ended.closed

    def fileno(self) -> int:
        """A descriptor that becomes readable when the thread ends, to poll and not to read.

        ClosedError after close().
        """
        return self._ended.fileno()

    def join(self, timeout: float | None = None) -> Exit:
        """Waits up to ``timeout`` seconds (None: for ever) until the thread ends.

        Returns the exit that ended it: Interrupted after :meth:`stop`. Raises what a handler (or
        run()) raised, each time; TimeoutError where it goes on; RuntimeError in the thread itself.
        """
        self._check_process()
        if timeout is not None:
            check_timeout(timeout)
        if threading.current_thread() is self._thread:
            raise RuntimeError("a vCPU's thread cannot wait for itself")
        with contextlib.suppress(ClosedError):  # another thread's close() has seen the end
            if not self.ended and not self._ended.poll(timeout):
                raise TimeoutError(f"{self!r} has not ended within {timeout} s")
        self._thread.join()
        self._told = True
        if self._failure is not None:
            try:
                raise self._failure
            finally:
                del self  # as in _body()
        assert self._last is not None
        return self._last

    def stop(self, timeout: float | None = 5) -> Exit | None:
        """Kicks the vCPU out of the guest, and waits as :meth:`join` does.

        The vCPU can be run again then. Where this returns ``Interrupted()``, no access is under
        way, and its registers can be read; after any other exit, or an exception, they can after
        :meth:`Vcpu.complete_mmio`. TimeoutError where a handler does not return within ``timeout``
        seconds: the thread ends when that does. In the thread itself it waits for nothing, and
        returns None.
        """
        self._check_process()
        if timeout is not None:
            check_timeout(timeout)
        with self._lock:
            if not self._leaving:
                self._stopping = True
                with contextlib.suppress(ClosedError):  # run() has met that, too
                    self.vcpu.kick()
        return None if threading.current_thread() is self._thread else self.join(timeout)

    def close(self) -> None:
        """As :meth:`stop`; what was raised is raised only to whoever has not heard of it yet."""
        if self.vcpu._core.inherited or (self._told and self.ended):
            self._ended.close()
            return
        try:
            self.stop()
        finally:
            if self.ended:  # not so in the thread itself, which tells of its end by this
                self._ended.close()

    def __await__(self) -> Generator[Any, None, Exit]:
        return self._joined().__await__()

    async def _joined(self) -> Exit:
        with contextlib.suppress(ClosedError):  # as in join()
            if not self.ended:
                await self._ended.readable()
        return self.join()

    def _check_process(self) -> None:
        if self.vcpu._core.inherited:
            raise failure(-errno.EIO, "VcpuThread", "Vcpu", 0, vcpu_id=self.vcpu.vcpu_id)

    def __del__(self) -> None:
        lost = getattr(self, "_failure", None)
        if lost is not None and not self._told:
            raise lost  # nobody waited: the interpreter prints it, as for any finalizer

    def __repr__(self) -> str:
        state = "closed" if self.closed else "ended" if self.ended else "running"
        return f"<VcpuThread {state} {self.vcpu!r}>"
