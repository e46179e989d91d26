# SPDX-License-Identifier: Apache-2.0
"""Running a vCPU: the loop around KVM_RUN, as far as it is Python's."""

from __future__ import annotations

import errno
import functools
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pykvm._descriptor import check_int, octets
from pykvm._native import lib
from pykvm.exits import Exit, MmioRead, MmioWrite, exit_of

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from pykvm._vmcore import VmCore

__all__ = ["VcpuRun", "claimed"]

_Method = TypeVar("_Method", bound=Callable[..., Any])

_run, _go_on, _reply_and_go_on = lib.vcpu_run, lib.vcpu_go_on, lib.vcpu_reply_and_go_on
_loaded = struct.Struct("=QQ").unpack_from
_stored = struct.Struct("=QQQ").unpack_from
_made = tuple.__new__  # what a NamedTuple's own constructor comes to, for a fifth of the cost

# As in cdefs/ranges.h; a test compares them. To look them up there costs too much in a loop.
_LOADS: Final = -0x10000000
_EXITS: Final = -0x10000
_LOADED: Final = _EXITS - 6
_STORED: Final = _EXITS - 0x10003
_NOTHING: Final = -5013


def claimed(call: str) -> Callable[[_Method], _Method]:
    """Makes a method one thread's at a time where there is no GIL; a second thread is refused."""

    def claiming(method: _Method) -> _Method:
        @functools.wraps(method)
        def alone(self: VcpuRun) -> Any:
            mine, turn = object(), self._turn
            try:
                if turn.setdefault(0, mine) is not mine:  # atomic: no other thread gets it
                    raise self._closed_or_failed(lib.vcpu_refusal(self._context), call)
                return method(self)
            finally:
                # Without a call, behind which a signal's handler could raise: the exit would be
                # lost. It may have raised before, as setdefault() returned: then who knows.
                try:
                    if turn[0] is mine:
                        del turn[0]
                except KeyError:
                    pass

        return cast("_Method", alone)

    return claiming


def _as_it_is(call: str) -> Callable[[_Method], _Method]:
    return lambda method: method


#: What `_runs` alone does where there is a GIL: no other thread comes between two lines without a
#: call. Nothing is paid for it there.
_one_thread = claimed if "t" in sys.abiflags else _as_it_is


class VcpuRun:
    """The part of a vCPU that runs it."""

    __slots__ = ()

    _access: Any
    _context: Any
    _exit: Any
    _vm_core: VmCore
    _closed_or_failed: Callable[[int, str], Exception]
    _deliver_coalesced: Callable[[], bool]
    _runs: bool
    _turn: dict[int, object]
    vcpu_id: int

    @_one_thread("KVM_RUN")
    def run(self) -> Exit:
        """KVM_RUN: runs the guest until it needs something that nobody serves yet.

        Capability: none.

        Accesses to the VM's MMIO ranges are served on the way: in C, or by Python handlers
        (:meth:`VM.mmio_handler`); what waits in rings is handed on before anything else is.
        Returns: one of :mod:`pykvm.exits`; :class:`~pykvm.Interrupted` after a :meth:`kick`, and
        without a GIC in the kernel where :attr:`device_irq_level` has changed.
        Signals' Python handlers run while the guest waits, and the guest goes on after them; what
        they or a range's handler raise (KeyboardInterrupt) comes out of here, and run() can be
        called again: no exit is lost. A store that its handler was given is done, even where it
        raised; a load is asked for again, unless :meth:`mmio_reply` answers it.
        Errors: ENOEXEC not initialised; ENXIO a GIC without address, EBUSY a GICv3 without init(),
        EINVAL overlapping frames (these three leave the VM dead), two timers on one interrupt or
        no pmu_init(); ENOSYS an access that KVM cannot describe; EFAULT memory that the host cannot
        back; EPERM SVE not finalised; EAGAIN a guest hypervisor without an initialised GICv3;
        ValueError, TypeError a handler's reply that does not fit the load.
        Synchronization: one thread at a time, else KvmBusyError; releases the GIL.
        Source: api.rst 4.10 and 5.
        """
        if self._vm_core.lazy_gicv2:
            self._vm_core.refuse_lazy_gicv2("KVM_RUN")
        # Until the exit's value is made no other thread may run the vCPU; C knows of it up to its
        # answer. No other thread comes between these lines, as there is no call in them (and where
        # there is no GIL, it was refused before).
        if self._runs:
            raise self._closed_or_failed(lib.vcpu_refusal(self._context), "KVM_RUN")
        self._runs = True  # type: ignore[misc]  # a slot of Vcpu
        context, access = self._context, self._access
        stores, loads = self._vm_core.bus.stores, self._vm_core.bus.loads
        # What C answered and nobody has been given; None: the answer was lost on its way, because
        # a signal's handler raised. (Python looks for signals only behind calls and at jumps.)
        answer: int | None = None
        asked, reply = 0, None
        try:
            answer = _run(context)
            while True:
                if answer >= 0:
                    if (store := stores[answer]) is None:
                        return self._nobodys()
                    values = _stored(access)
                    answer = _NOTHING
                    store(*values)
                    answer = None
                    answer = _go_on(context)
                elif answer <= _LOADS:
                    if (load := loads[_LOADS - answer]) is None:
                        return self._nobodys()
                    asked = answer
                    reply = load(*_loaded(access))
                    answer = None
                    try:
                        answer = _reply_and_go_on(context, reply)
                    except (TypeError, OverflowError) as refusal:
                        raise _complaint(reply, asked) or refusal from None
                elif answer == _STORED:
                    gpa, size, value = _stored(access)
                    return _made(MmioWrite, (gpa, value.to_bytes(size, "little")))
                elif answer == _LOADED:
                    return _made(MmioRead, _loaded(access))
                elif answer <= _EXITS:
                    return exit_of(self._exit, _EXITS - answer)
                elif answer == -errno.EINTR:
                    # Another signal than a kick: its handler runs here, between two bytecodes.
                    answer = None
                    answer = _go_on(context)
                elif answer == lib.PYKVM_DRAIN:
                    self._vm_core.bus.drain(self._deliver_coalesced)
                    answer = None
                    answer = lib.vcpu_owed(context)
                elif answer == lib.PYKVM_TOO_WIDE:
                    answer = asked
                    raise _complaint(reply, asked) or AssertionError
                else:
                    raise self._closed_or_failed(answer, "KVM_RUN")
        except BaseException:
            lib.vcpu_give_up(context, lib.PYKVM_UNSEEN if answer is None else answer)
            raise
        finally:
            self._runs = False  # type: ignore[misc]

    def _nobodys(self) -> Exit:
        """The access of a slot whose range was closed meanwhile."""
        lib.vcpu_take_exit(self._context)
        lib.vcpu_give_up(self._context, _NOTHING)
        return exit_of(self._exit, lib.KVM_EXIT_MMIO)

    def mmio_reply(self, value: int | Buffer) -> None:
        """What the guest reads: the answer to a :class:`~pykvm.MmioRead`, before the next run().

        ``value``: a number (stored little-endian) that fits the load, or exactly its bytes.
        Raises ValueError where it does not fit or the last exit was no MmioRead (nor a load whose
        handler raised).
        """
        size = lib.vcpu_pending_load(self._context)
        if size < 0:
            raise self._closed_or_failed(size, "mmio_reply")
        if not size:
            raise ValueError("there is no load to answer: the last exit was no MmioRead")
        if hasattr(type(value), "__index__"):
            number = check_int("value", value, 0, 2 ** (8 * size) - 1)
        else:
            with octets("value", value) as data:
                if len(data) != size:
                    raise ValueError(f"the guest reads {size} bytes, value has {len(data)}")
                number = int.from_bytes(data, "little")
        result = lib.vcpu_reply(self._context, number)
        if result < 0:
            raise self._closed_or_failed(result, "mmio_reply")

    @_one_thread("complete_mmio")
    def complete_mmio(self) -> None:
        """Finishes the access of the last exit without entering the guest.

        Before that, the guest's registers are as in the midst of it: pc is the load or store, and a
        load has not arrived. So it comes before the vCPU's state is saved; where run() was
        interrupted by a kick, it has been done. A load without a reply reads zero, also one that
        run() did not get to return as a ring's handler raised. Again is harmless.
        Errors: those of :meth:`run`.
        Synchronization: as :meth:`run`.
        Source: api.rst 5 (immediate_exit, KVM_EXIT_MMIO).
        """
        if self._runs:  # as in run()
            raise self._closed_or_failed(lib.vcpu_refusal(self._context), "complete_mmio")
        self._runs = True  # type: ignore[misc]
        try:
            result = lib.vcpu_complete_mmio(self._context)
        finally:
            self._runs = False  # type: ignore[misc]
        if result < 0:
            raise self._closed_or_failed(result, "complete_mmio")


def _complaint(reply: object, asked: int) -> Exception | None:
    """What is wrong with what a handler of loads returned, or None."""
    width = 1 << (_LOADS - asked & 3)
    try:
        check_int("the reply of a handler", reply, 0, 2 ** (8 * width) - 1)
    except (TypeError, ValueError) as complaint:
        return complaint
    return None
