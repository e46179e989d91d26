# SPDX-License-Identifier: Apache-2.0
"""Irqfd: its arguments, its life, and injection that never meets a stranger's descriptor.

That a guest takes the interrupt is proven on arm64, in tests/arm64.
"""

from __future__ import annotations

import gc
import os
import sys
from itertools import permutations
from typing import Any

import pytest

from pykvm import (
    VM,
    ClosedError,
    EventFd,
    Irqfd,
    Kvm,
    KvmBusyError,
    KvmError,
    KvmWouldBlockError,
    LevelLine,
)
from tests.kvm.footprint import unchanged
from tests.kvm.machines import wire
from tests.kvm.processes import forked
from tests.kvm.threads import workers


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, TypeError, "exactly one of intid= and gsi="),
        ({"intid": 40, "gsi": 8}, TypeError, "exactly one of intid= and gsi="),
        ({"intid": 5}, ValueError, "intid 5 is an SGI, private to one CPU"),
        ({"intid": 27}, ValueError, "intid 27 is a PPI, private to one CPU"),
        ({"intid": 1020}, ValueError, "intid 1020 is no SPI"),
        ({"intid": 8192}, ValueError, "route a gsi to an MSI"),
        ({"intid": -1}, ValueError, "intid"),
        ({"gsi": 4096}, ValueError, "gsi 4096 can have no route"),
        ({"gsi": 2**32}, ValueError, "gsi is 0x100000000"),
        ({"gsi": "8"}, TypeError, "gsi must be an int, not str"),
        ({"intid": 40.0}, TypeError, "intid must be an int, not float"),
        ({"gsi": 8, "eventfd": "9"}, TypeError, r"int or have fileno\(\); got str"),
        ({"gsi": 8, "eventfd": -1}, ValueError, "-1 is no descriptor"),
        ({"gsi": 8, "eventfd": 2**31}, ValueError, "2147483648 is no descriptor"),
        ({"gsi": 8, "eventfd": 2**31 - 1}, ValueError, "2147483647 is not open"),
    ],
)
def test_bad_arguments(
    wired: VM, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with unchanged(), pytest.raises(error, match=words):
        wired.irqfd(**arguments)


def test_without_a_controller(vm: VM) -> None:
    with unchanged(), pytest.raises(KvmError, match=r"KVM_IRQFD.*gsi=8.*interrupt controller|GIC"):
        vm.irqfd(gsi=8)


def test_life(wired: VM) -> None:
    with unchanged():
        irqfd = wired.irqfd(intid=40)
        assert (irqfd.gsi, irqfd.closed, irqfd.trigger.closed) == (8, False, False)
        assert repr(irqfd) == "<Irqfd gsi 8>"
        irqfd.inject()
        irqfd.trigger.signal()
        irqfd.close()
        irqfd.close()
    assert (irqfd.closed, irqfd.trigger.closed) == (True, True)
    assert repr(irqfd) == "<Irqfd closed gsi 8>"


def test_one_eventfd_one_interrupt(wired: VM) -> None:
    with EventFd() as ours, wired.irqfd(gsi=8, eventfd=ours) as first:
        for again in (ours, ours.fileno(), first.trigger):
            with unchanged(), pytest.raises(KvmBusyError, match="one eventfd, one interrupt"):
                wired.irqfd(gsi=9, eventfd=again)
        first.close()
        wired.irqfd(gsi=9, eventfd=ours)


def test_one_eventfd_one_interrupt_in_all_vms(kvm: Kvm, wired: VM) -> None:
    """Kernels before 6.17 take a second VM's and never deliver there."""
    with kvm.create_vm() as other, EventFd() as ours:
        first = wired.irqfd(gsi=8, eventfd=ours)
        with unchanged(), pytest.raises(KvmBusyError, match=r"already feeds <Irqfd gsi 8>"):
            other.irqfd(gsi=8, eventfd=ours)
        first.close()
        with pytest.raises(KvmError, match=r"interrupt controller|GIC"):  # the kernel's answer
            other.irqfd(gsi=8, eventfd=ours)
        with wired.irqfd(gsi=8, eventfd=ours):
            pass


def test_an_eventfd_of_its_own_is_never_taken_for_another(wired: VM) -> None:
    """The kernel gives the id of a closed eventfd to the next one, in whatever thread."""

    def churn(gsi: int) -> None:
        for _ in range(100):
            wired.irqfd(gsi=gsi).close()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with unchanged(), workers(*[lambda gsi=gsi: churn(gsi) for gsi in range(3)]):
            pass
    finally:
        sys.setswitchinterval(interval)


def test_where_no_id_shows_the_kernel_s_answer_stands(
    wired: VM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pykvm.irqfd.fdinfo", lambda fd: {})  # as without /proc
    with EventFd() as ours, wired.irqfd(gsi=8, eventfd=ours):
        with pytest.raises(KvmBusyError, match="one eventfd, one interrupt") as caught:
            wired.irqfd(gsi=9, eventfd=ours)
        assert "sent to the kernel" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("order", list(permutations(("vm", "irqfd", "eventfd", "line"))))
def test_dropped_in_every_order(kvm: Kvm, order: tuple[str, ...]) -> None:
    with unchanged():
        kept: dict[str, Any] = {"vm": kvm.create_vm(), "eventfd": EventFd()}
        wire(kept["vm"])
        kept["irqfd"] = kept["vm"].irqfd(gsi=8, eventfd=kept["eventfd"], resample=True)
        kept["line"] = LevelLine(kept["irqfd"], lambda: True)
        kept["line"].update()
        for name in order:
            del kept[name]
            gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_dropped_in_a_cycle(kvm: Kvm) -> None:
    def make() -> None:
        vm = kvm.create_vm()
        wire(vm)
        things: list[Any] = [vm]
        things.append(LevelLine(vm.irqfd(gsi=8, resample=True), lambda: bool(things)))

    with unchanged():
        make()
        gc.collect()


def test_a_child_takes_nothing_from_its_parent(wired: VM) -> None:
    with EventFd() as ours:
        irqfd = wired.irqfd(gsi=8, eventfd=ours, resample=True)

        def child() -> bool:
            irqfd.close()
            return irqfd.closed

        assert forked(child)
        ours.signal()
        assert ours.read() == 0  # KVM took it: the binding is there
        irqfd.close()
        ours.signal()
        assert ours.read() == 1


@pytest.mark.parametrize(
    ("resample", "error", "words"),
    [
        (None, TypeError, r"int or have fileno\(\); got NoneType"),
        (-1, ValueError, "-1 is no descriptor"),
        (2**31 - 1, ValueError, "2147483647 is not open"),
        ("same", ValueError, "are the same eventfd: each end would raise the interrupt anew"),
    ],
)
def test_bad_resamplefds(wired: VM, resample: Any, error: type[Exception], words: str) -> None:
    with EventFd() as ours, unchanged(), pytest.raises(error, match=words):
        wired.irqfd(gsi=8, eventfd=ours, resample=ours if resample == "same" else resample)


def test_a_bad_eventfd_leaves_no_resamplefd(wired: VM) -> None:
    with unchanged(), pytest.raises(ValueError, match="is not open"):
        wired.irqfd(gsi=8, eventfd=2**31 - 1, resample=True)


def test_life_with_a_resamplefd(wired: VM) -> None:
    with EventFd() as ours, unchanged():
        for given in True, ours, ours.fileno():
            with wired.irqfd(gsi=8, resample=given) as irqfd:
                assert repr(irqfd) == "<Irqfd gsi 8 resample>"
                assert irqfd.resample is not None
                with pytest.raises(KvmBusyError, match="belongs to an Irqfd: close that"):
                    irqfd.resample.close()
                kept = irqfd.resample
                assert kept.fileno() != ours.fileno()
            assert kept.closed
        with wired.irqfd(gsi=8) as irqfd:
            assert irqfd.resample is None


def test_a_level_line_needs_a_resamplefd(wired: VM) -> None:
    with pytest.raises(ValueError, match=r"vm.irqfd\(…, resample=True\)"):
        LevelLine(wired.irqfd(gsi=8), lambda: True)


def test_close_unbinds_while_others_have_the_eventfd(wired: VM) -> None:
    with EventFd() as ours:
        wired.irqfd(gsi=8, eventfd=ours).close()
        ours.signal()
        assert ours.read() == 1  # nobody else took it


def test_nobody_has_to_keep_it(wired: VM) -> None:
    with EventFd() as ours:
        wired.irqfd(gsi=8, eventfd=ours)
        with pytest.raises(KvmBusyError):
            wired.irqfd(gsi=9, eventfd=ours)


def test_its_trigger_cannot_be_closed_under_it(wired: VM) -> None:
    with wired.irqfd(gsi=8) as irqfd:
        with pytest.raises(KvmBusyError, match="belongs to an Irqfd: close that"):
            irqfd.trigger.close()
        irqfd.inject()


def test_a_trigger_in_a_closed_vm(kvm: Kvm, wired: VM) -> None:
    irqfd = wired.irqfd(gsi=8)
    trigger, inject = irqfd.trigger, irqfd.inject
    wired.close()
    for call in (inject, trigger.signal, trigger.read, trigger.fileno):
        with pytest.raises(ClosedError):
            call()


def test_inject_kept_from_before_close_hits_no_stranger(wired: VM) -> None:
    irqfd = wired.irqfd(gsi=8)
    inject, number = irqfd.inject, irqfd.trigger.fileno()
    irqfd.close()
    theirs = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        os.dup2(theirs, number)
        with pytest.raises(ClosedError, match="this Irqfd is closed"):
            inject()
        with pytest.raises(BlockingIOError):
            os.eventfd_read(theirs)
    finally:
        os.close(theirs)
        if number != theirs:
            os.close(number)


def test_inject_races_with_close(wired: VM) -> None:
    """A writer that never stops meets close() at every point; numbers are reused at once."""
    stranger = os.eventfd(0, os.EFD_NONBLOCK)
    for _ in range(30):
        irqfd = wired.irqfd(gsi=8)
        count = 0

        def inject(irqfd: Irqfd = irqfd) -> None:
            nonlocal count
            try:
                while True:
                    irqfd.inject()
                    count += 1
            except ClosedError:
                pass
            except KvmWouldBlockError:
                raise AssertionError("the counter filled up: KVM does not read it") from None

        with workers(inject, inject):
            while not count:
                pass
            number = irqfd.trigger.fileno()
            irqfd.close()
            os.dup2(stranger, number)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(stranger)
        os.close(number)
    os.close(stranger)


def test_binding_and_unbinding_from_many_threads(wired: VM) -> None:
    def churn(first_gsi: int) -> None:
        for n in range(20):
            with wired.irqfd(gsi=first_gsi + n % 5) as irqfd:
                irqfd.inject()

    with unchanged(), workers(*[lambda first=first: churn(first) for first in (0, 5, 10)]):
        pass


def test_closed_by_several_threads_and_the_vm_at_once(kvm: Kvm) -> None:
    for _ in range(10):
        with unchanged(), kvm.create_vm() as vm:
            bells = [vm.ioeventfd(8 * n, 4) for n in range(5)]
            with workers(vm.close, *[bell.close for bell in bells], vm.close):
                pass
            assert all(bell.closed and bell.eventfd.closed for bell in bells)
