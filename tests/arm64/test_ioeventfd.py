# SPDX-License-Identifier: Apache-2.0
"""Ioeventfds: which stores of a guest signal, and which leave the guest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from guests import arguments, layout
from tinyvm import TinyVm

from pykvm import EventFd, Exit, KvmExistsError, MmioWrite, SystemEvent

Tiny = Callable[..., TinyVm]
DOORBELL = layout.DOORBELL_GPA


def ring(tiny: Tiny, **options: int) -> tuple[TinyVm, list[Exit], Callable[[], None]]:
    """A machine whose guest will ring the doorbell, the exits it makes, and what starts it."""
    machine = tiny("doorbell", gic=0)
    machine.set_registers(arguments.doorbell(**options))  # type: ignore[arg-type]
    exits: list[Exit] = []

    def run() -> None:
        assert isinstance(machine.run(exits.append), SystemEvent)

    return machine, exits, run


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.covers("vm KVM_IOEVENTFD")
def test_stores_signal_and_do_not_exit(tiny: Tiny, width: int) -> None:
    machine, exits, run = ring(tiny, count=7, width=width)
    bell = machine.vm.ioeventfd(DOORBELL, width)
    run()
    assert exits == []
    assert bell.eventfd.read() == 7


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_any_length_takes_every_width(tiny: Tiny, width: int) -> None:
    machine, exits, run = ring(tiny, count=3, width=width)
    bell = machine.vm.ioeventfd(DOORBELL, 0)
    run()
    assert (exits, bell.eventfd.read()) == ([], 3)


def test_another_width_exits(tiny: Tiny) -> None:
    machine, exits, run = ring(tiny, count=2, width=4, first_value=0x11223344, step=1)
    bell = machine.vm.ioeventfd(DOORBELL, 2)
    run()
    assert exits == [
        MmioWrite(DOORBELL, bytes.fromhex("44332211")),
        MmioWrite(DOORBELL, bytes.fromhex("45332211")),
    ]
    assert [exit.value for exit in exits if isinstance(exit, MmioWrite)] == [0x11223344, 0x11223345]
    assert bell.eventfd.read() == 0


def test_a_datamatch_takes_its_value_only(tiny: Tiny) -> None:
    machine, exits, run = ring(tiny, count=5, width=4, first_value=10, step=1)
    twelve = machine.vm.ioeventfd(DOORBELL, 4, datamatch=12)
    thirteen = machine.vm.ioeventfd(DOORBELL, 4, datamatch=13)
    run()
    assert [exit.value for exit in exits if isinstance(exit, MmioWrite)] == [10, 11, 14]
    assert (twelve.eventfd.read(), thirteen.eventfd.read()) == (1, 1)


def test_the_largest_datamatch(tiny: Tiny) -> None:
    machine, exits, run = ring(tiny, count=1, width=8, first_value=2**64 - 1)
    bell = machine.vm.ioeventfd(DOORBELL, 8, datamatch=2**64 - 1)
    run()
    assert (exits, bell.eventfd.read()) == ([], 1)


def test_closing_ends_it_while_others_have_the_eventfd_open(tiny: Tiny) -> None:
    machine, exits, run = ring(tiny, count=2, width=4)
    with EventFd() as eventfd:
        machine.vm.ioeventfd(DOORBELL, 4, eventfd=eventfd).close()
        run()
        assert len(exits) == 2
        assert eventfd.read() == 0


def test_one_registration_for_a_store(tiny: Tiny) -> None:
    machine, _, _ = ring(tiny, count=1)
    machine.vm.ioeventfd(DOORBELL, 4)
    for options in ({"size": 4}, {"size": 4, "datamatch": 5}, {"size": 0}):
        with pytest.raises(KvmExistsError):
            machine.vm.ioeventfd(DOORBELL, **options)
    machine.vm.ioeventfd(DOORBELL, 2)
