# SPDX-License-Identifier: Apache-2.0
"""Level-triggered SPIs: raised by an irqfd, lowered by the guest's end, told by the resamplefd.

The guests acknowledge their device before the end of interrupt, as drivers do. One that does not is
in the test of irqfd_level.py: some kernels lose its ends.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from guests import layout
from tally import wait_for
from tinyvm import TinyVm

from pykvm import EventFd, Exit, Irqfd, KvmBusyError, MmioWrite, Vgic
from tests.arm64.conftest import PATIENCE
from tests.arm64.spis import INTID, Tiny, arrives, ready, started
from tests.kvm.threads import workers

MARKER = INTID + 1


class Acknowledged:
    """The handler of exits: the guest's acknowledges by INTID, and nothing else."""

    def __init__(self) -> None:
        self.count: dict[int, int] = {}

    def __call__(self, exit: Exit) -> None:
        assert isinstance(exit, MmioWrite)
        assert exit.gpa == layout.DEVICE_ACK_GPA, exit
        self.count[exit.value] = self.count.get(exit.value, 0) + 1


def level(tiny: Tiny, count: int = 1, **options: bool) -> TinyVm:
    """A machine whose guest takes level-triggered SPIs from INTID on and acknowledges by MMIO."""
    return started(tiny, INTID, count, trigger="level", ack_device=True, **options)


def news(irqfd: Irqfd) -> int:
    """Waits for the resamplefd, and says how often it was signalled."""
    assert irqfd.resample is not None
    return irqfd.resample.wait(PATIENCE)


def quiet(machine: TinyVm, marker: Irqfd) -> None:
    """Lets the guest take another interrupt: what was under way before has come through."""
    marker.inject()
    assert news(marker) == 1


@pytest.mark.parametrize("acknowledge", ["exit", "ioeventfd"])
@pytest.mark.parametrize("split_eoi", [False, True])
def test_raised_until_the_device_is_content(tiny: Tiny, acknowledge: str, split_eoi: bool) -> None:
    machine = level(tiny, 2, split_eoi=split_eoi)
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    marker = machine.vm.irqfd(intid=MARKER, resample=True)
    heard = Acknowledged()
    bell = None
    if acknowledge == "ioeventfd":
        bell = machine.vm.ioeventfd(layout.DEVICE_ACK_GPA, 4, datamatch=INTID)
    wants = 200
    with machine.running(heard):
        ready(machine)
        for number in range(1, wants + 1):
            irqfd.inject()
            assert news(irqfd) == 1
            assert arrives(machine, number)
            assert (bell.eventfd.read() if bell else heard.count[INTID]) == (1 if bell else number)
        quiet(machine, marker)
        assert arrives(machine, wants)  # nobody raised it again: the line is down
    assert irqfd.resample is not None
    assert irqfd.resample.read() == 0


def test_the_news_comes_after_the_end(tiny: Tiny) -> None:
    machine = level(tiny)
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    before_the_end: list[int] = []

    def served(exit: Exit) -> None:
        assert irqfd.resample is not None
        before_the_end.append(irqfd.resample.read())

    with machine.running(served):
        ready(machine)
        for _ in range(50):
            irqfd.inject()
            assert news(irqfd) == 1
    assert before_the_end == [0] * 50


def test_raised_again_while_the_guest_serves_it(tiny: Tiny) -> None:
    """What comes while the line is up is the same interrupt: the end lowers them both."""
    machine = level(tiny, 2)
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    marker = machine.vm.irqfd(intid=MARKER, resample=True)

    def raise_again(exit: Exit) -> None:
        irqfd.inject()

    with machine.running(raise_again):
        ready(machine)
        irqfd.inject()
        assert news(irqfd) == 1
    with machine.running(Acknowledged()):
        quiet(machine, marker)
        assert arrives(machine, 1)


def test_several_at_once(tiny: Tiny) -> None:
    """More than a GIC has list registers, all up at the same time."""
    machine = level(tiny, 16)
    irqfds = {intid: machine.vm.irqfd(intid=intid, resample=True) for intid in range(40, 56)}
    heard = Acknowledged()
    with machine.running(heard):
        ready(machine)
        for turn in range(1, 21):
            for irqfd in irqfds.values():
                irqfd.inject()
            assert [news(irqfd) for irqfd in irqfds.values()] == [1] * 16
            for intid in irqfds:
                assert arrives(machine, turn, intid)
    assert heard.count == dict.fromkeys(irqfds, 20)


def test_both_resamplers_of_a_shared_line_are_told(tiny: Tiny) -> None:
    machine = level(tiny)
    first, second = (machine.vm.irqfd(intid=INTID, resample=True) for _ in range(2))
    with machine.running(Acknowledged()):
        ready(machine)
        for number in range(1, 21):
            first.inject()
            assert (news(first), news(second)) == (1, 1)
            assert arrives(machine, number)
    # Raised by both while the guest stands still: one interrupt, and both are told.
    first.inject()
    second.inject()
    with machine.running(Acknowledged()):
        assert (news(first), news(second)) == (1, 1)
        assert arrives(machine, 21)


def test_one_resamplefd_for_two_lines(tiny: Tiny) -> None:
    machine = level(tiny, 2)
    with EventFd() as ends, machine.running(Acknowledged()):
        irqfds = [machine.vm.irqfd(intid=intid, resample=ends) for intid in (INTID, MARKER)]
        ready(machine)
        for irqfd in irqfds:
            irqfd.inject()
            assert ends.wait(PATIENCE) == 1


def test_without_resample_it_comes_without_end(tiny: Tiny) -> None:
    machine = level(tiny, 2)
    irqfd = machine.vm.irqfd(intid=INTID)
    marker = machine.vm.irqfd(intid=MARKER, resample=True)
    with machine.running(Acknowledged()):
        ready(machine)
        irqfd.inject()
        assert wait_for(lambda: machine.report.ended(INTID), 50, PATIENCE)
        # Not even closing it lowers the line; KVM_IRQ_LINE does.
        irqfd.close()
        seen = machine.report.ended(INTID)
        assert wait_for(lambda: machine.report.ended(INTID), seen + 50, PATIENCE)
        machine.vm.irq_line(INTID, 0)
        quiet(machine, marker)
        seen = machine.report.taken(INTID)
        quiet(machine, marker)
        assert arrives(machine, seen)


def test_a_resampler_beside_a_plain_irqfd_ends_both(tiny: Tiny) -> None:
    machine = level(tiny)
    plain = machine.vm.irqfd(intid=INTID)
    other = machine.vm.irqfd(intid=INTID, resample=True)
    with machine.running(Acknowledged()):
        ready(machine)
        for number in range(1, 11):
            plain.inject()
            assert news(other) == 1
            assert arrives(machine, number)


def test_a_line_raised_by_irq_line_is_lowered_too(tiny: Tiny) -> None:
    machine = level(tiny)
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    with machine.running(Acknowledged()):
        ready(machine)
        machine.vm.irq_line(INTID, 1)
        assert news(irqfd) == 1
        assert arrives(machine, 1)


@pytest.mark.parametrize("trigger", ["edge", "level"])
def test_nothing_written_after_close_arrives(tiny: Tiny, trigger: str) -> None:
    """Under fire: a thread signals the eventfd all the time, before and after."""
    is_level = trigger == "level"
    machine = started(tiny, INTID, 2, trigger=trigger, ack_device=True)
    marker = machine.vm.irqfd(intid=MARKER, resample=is_level)
    going = True

    def settle() -> int:
        """How often the guest has taken it, when nothing is under way any more."""
        before = machine.report.ended(MARKER)
        marker.inject()
        assert wait_for(lambda: machine.report.ended(MARKER), before + 1, PATIENCE)
        if is_level:
            assert news(marker) == 1
        return machine.report.taken(INTID)

    with EventFd() as fire, machine.running(Acknowledged()):

        def shoot() -> None:
            while going:
                fire.signal()

        ready(machine)
        taken = 0
        with workers(shoot):
            try:
                for _ in range(30):
                    irqfd = machine.vm.irqfd(intid=INTID, eventfd=fire, resample=is_level)
                    assert wait_for(lambda: machine.report.taken(INTID), taken + 1, PATIENCE)
                    irqfd.close()
                    taken = settle()
                    settle()
                    assert machine.report.taken(INTID) == taken
            finally:
                going = False
    assert machine.report.taken(INTID) == machine.report.ended(INTID) == taken
    assert not machine.report.spurious


def test_closing_lowers_a_line_that_is_up(tiny: Tiny) -> None:
    machine = level(tiny, 2)
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    marker = machine.vm.irqfd(intid=MARKER, resample=True)
    with machine.running(Acknowledged()):
        ready(machine)
    irqfd.inject()  # to a guest that stands still
    irqfd.close()
    with machine.running(Acknowledged()):
        quiet(machine, marker)
        assert machine.report.taken(INTID) == 0


@pytest.mark.parametrize("resample", [False, True])
def test_an_eventfd_that_was_signalled_before(tiny: Tiny, resample: bool) -> None:
    """It is injected once, at once. KVM leaves its counter as it was."""
    machine = started(tiny, trigger="level" if resample else "edge", ack_device=True)
    with EventFd() as eventfd, machine.running(Acknowledged()):
        ready(machine)
        eventfd.signal(3)
        irqfd = machine.vm.irqfd(intid=INTID, eventfd=eventfd, resample=resample)
        assert arrives(machine, 1)
        if resample:
            assert news(irqfd) == 1
        assert irqfd.trigger.read() == 3


def test_raised_before_the_guest_has_chosen_the_trigger(tiny: Tiny) -> None:
    """SPIs reset to edge: the raise is latched as one, whatever the guest chooses later."""
    machine = level(tiny, 1, late_setup=True)
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    assert isinstance(machine.vgic, Vgic)
    with machine.running(Acknowledged()):
        assert wait_for(lambda: machine.report.waiting, 1, PATIENCE)
    assert machine.vgic.trigger_of(INTID) == "edge"
    irqfd.inject()
    machine.report.let_go_on()
    with machine.running(Acknowledged()):
        ready(machine)
        assert arrives(machine, 1)
        irqfd.inject()  # as a level from now on
        assert news(irqfd) >= 1
        assert arrives(machine, 2)
    assert machine.vgic.trigger_of(INTID) == "level"


def test_the_trigger_cannot_be_asked_while_a_vcpu_runs(tiny: Tiny) -> None:
    machine = level(tiny)
    assert isinstance(machine.vgic, Vgic)
    with machine.running(Acknowledged()):
        ready(machine)
        with pytest.raises(KvmBusyError, match="kick"):
            machine.vgic.trigger_of(INTID)
    assert [machine.vgic.trigger_of(intid) for intid in (INTID, MARKER)] == ["level", "edge"]


def test_many_bindings_come_and_go_while_the_line_works(tiny: Tiny) -> None:
    machine = level(tiny)
    irqfd = machine.vm.irqfd(intid=INTID, resample=True)
    with machine.running(Acknowledged()):
        ready(machine)
        for number in range(1, 51):
            with ExitStack() as others:
                for _ in range(3):
                    others.enter_context(machine.vm.irqfd(intid=INTID, resample=True))
                irqfd.inject()
                assert news(irqfd) == 1
            assert arrives(machine, number)
