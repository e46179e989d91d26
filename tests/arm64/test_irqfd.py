# SPDX-License-Identifier: Apache-2.0
"""Irqfds, as a guest counts them: edge-triggered SPIs on whatever GIC the host has."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import pytest
from tally import wait_for
from tinyvm import vgic_frames

from pykvm import VM, ClosedError, EventFd, Irqfd, KvmBusyError, KvmWouldBlockError, Vcpu, Vgic
from tests.arm64.conftest import PATIENCE, refused
from tests.arm64.spis import INTID, Tiny, arrives, ready, settle, started


def test_each_signal_is_one_interrupt(tiny: Tiny) -> None:
    machine = started(tiny)
    irqfd = machine.vm.irqfd(intid=INTID)
    with machine.running():
        ready(machine)
        for number in range(1, 1001):
            irqfd.inject()
            assert arrives(machine, number), machine.report.failure


@pytest.mark.parametrize("split_eoi", [False, True])
def test_both_ways_to_end_an_interrupt(tiny: Tiny, split_eoi: bool) -> None:
    machine = started(tiny, split_eoi=split_eoi)
    irqfd = machine.vm.irqfd(intid=INTID)
    with machine.running():
        ready(machine)
        for number in range(1, 21):
            irqfd.inject()
            assert arrives(machine, number)


def test_signals_to_a_stopped_guest_are_one(tiny: Tiny) -> None:
    machine = started(tiny)
    irqfd = machine.vm.irqfd(intid=INTID)
    with machine.running():
        ready(machine)
        irqfd.inject()
        assert arrives(machine, 1)
    for _ in range(5):
        irqfd.inject()
    with machine.running():
        assert arrives(machine, 2)


@pytest.mark.covers("vm KVM_IRQFD")
def test_gsi_and_intid_are_32_apart(tiny: Tiny) -> None:
    machine = started(tiny)
    irqfd = machine.vm.irqfd(gsi=INTID - 32)
    assert irqfd.gsi == INTID - 32
    with machine.running():
        ready(machine)
        irqfd.inject()
        assert arrives(machine, 1)


def test_many_irqfds_do_not_mix(tiny: Tiny) -> None:
    machine = started(tiny, first_intid=40, count=16)
    irqfds = {intid: machine.vm.irqfd(intid=intid) for intid in range(40, 56)}
    with machine.running():
        ready(machine)
        for turn in range(1, 6):
            for irqfd in irqfds.values():
                irqfd.inject()
            for intid in irqfds:
                assert arrives(machine, turn, intid)


def test_a_binding_that_nobody_keeps_stays(tiny: Tiny) -> None:
    machine = started(tiny)
    with EventFd() as eventfd:
        machine.vm.irqfd(intid=INTID, eventfd=eventfd)
        gc.collect()
        with machine.running():
            ready(machine)
            eventfd.signal()
            assert arrives(machine, 1)


def test_the_given_eventfd_is_duplicated(tiny: Tiny) -> None:
    machine = started(tiny)
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    irqfd = machine.vm.irqfd(intid=INTID, eventfd=fd)
    os.close(fd)
    with machine.running():
        ready(machine)
        irqfd.inject()
        assert arrives(machine, 1)
        irqfd.trigger.signal()
        assert arrives(machine, 2)


def test_nothing_arrives_after_close(tiny: Tiny) -> None:
    machine = started(tiny, count=2)
    with EventFd() as eventfd, machine.running():
        irqfd = machine.vm.irqfd(intid=INTID, eventfd=eventfd)
        ready(machine)
        eventfd.signal()
        assert arrives(machine, 1)
        inject = irqfd.inject
        irqfd.close()
        irqfd.close()
        eventfd.signal()
        with pytest.raises(ClosedError):
            inject()
        settle(machine, INTID + 1)
        assert machine.report.taken(INTID) == 1
        # The eventfd is free again: it can be bound once more, and what it holds is injected.
        machine.vm.irqfd(intid=INTID, eventfd=eventfd)
        assert arrives(machine, 2)


def test_assign_and_deassign_under_fire(tiny: Tiny) -> None:
    machine = started(tiny, count=2)
    with machine.running():
        ready(machine)
        with EventFd() as eventfd:
            for _ in range(50):
                with machine.vm.irqfd(intid=INTID, eventfd=eventfd):
                    eventfd.signal()
        settle(machine, INTID + 1)
        settled = machine.report.taken(INTID)
        assert 1 <= settled <= 100
        assert wait_for(lambda: machine.report.ended(INTID), settled, PATIENCE)
        assert not machine.report.spurious


def test_irq_line_is_an_edge_too(tiny: Tiny) -> None:
    machine = started(tiny)
    with machine.running():
        ready(machine)
        for number in range(1, 11):
            machine.vm.irq_line(INTID, 1)
            machine.vm.irq_line(INTID, 0)
            assert arrives(machine, number)


def test_before_init_there_is_nothing_to_inject_into(vm: VM, vgic: Vgic) -> None:
    with pytest.raises(KvmWouldBlockError) as caught:
        vm.irqfd(intid=INTID)
    assert "init()" in caught.value.hint
    vgic_frames(vgic)
    vgic.init()
    assert isinstance(vm.irqfd(intid=INTID), Irqfd)


def test_without_a_gic(vm: VM, vcpu: Vcpu) -> None:
    with pytest.raises(KvmWouldBlockError):
        vm.irqfd(intid=INTID)


@pytest.fixture
def bindable(vm: VM, vgic: Vgic) -> VM:
    """A VM whose GIC is ready, with 128 interrupts."""
    vgic.nr_irqs = 128
    vgic_frames(vgic)
    vgic.init()
    return vm


def test_one_eventfd_feeds_one_irqfd(bindable: VM) -> None:
    with EventFd() as eventfd:
        bindable.irqfd(intid=INTID, eventfd=eventfd)
        for intid in (INTID, INTID + 1):
            with pytest.raises(KvmBusyError):
                bindable.irqfd(intid=intid, eventfd=eventfd)


def test_several_eventfds_may_feed_one_interrupt(bindable: VM) -> None:
    first, second = (bindable.irqfd(intid=INTID) for _ in range(2))
    assert first.gsi == second.gsi


@pytest.mark.parametrize("intid", [0, 15, 16, 31])
def test_private_interrupts_are_refused_with_the_reason(bindable: VM, intid: int) -> None:
    with pytest.raises(ValueError, match="private to one CPU"):
        bindable.irqfd(intid=intid)


@pytest.mark.parametrize("gsi", [96, 4095, 4096, 2**32 - 1])
def test_what_has_no_route_is_refused_unless_asked_for(bindable: VM, gsi: int) -> None:
    with pytest.raises(ValueError, match="in silence"):
        bindable.irqfd(gsi=gsi)
    irqfd = bindable.irqfd(gsi=gsi, allow_unrouted=True)
    irqfd.inject()  # the kernel takes it and drops it
    irqfd.close()


def test_the_last_routed_one_is_not(bindable: VM) -> None:
    assert bindable.irqfd(intid=127).gsi == 95
    with pytest.raises(ValueError, match="no gsi leads to intid 128"):
        bindable.irqfd(intid=128)


def test_after_a_raw_ioctl_the_routing_is_unknown(bindable: VM) -> None:
    empty = bytearray(8)  # a kvm_irq_routing without entries
    bindable.ioctl(0x4008AE6A, empty)
    bindable.irqfd(intid=900)


def test_a_failed_binding_leaves_nothing(vm: VM, vcpu: Vcpu) -> None:
    before = open_descriptors()
    for _ in range(3):
        with refused(errno.EAGAIN, "KVM_IRQFD"):
            vm.irqfd(intid=INTID)
    assert open_descriptors() == before


def open_descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())
