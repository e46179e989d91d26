# SPDX-License-Identifier: Apache-2.0
"""MMIO ranges under a guest that loads and stores in every width, and the state after an access."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from guests import arguments, layout
from tinyvm import TinyVm

from pykvm import MmioRead, MmioWrite, SystemEvent, VcpuThread
from tests.arm64.conftest import PATIENCE
from tests.arm64.spis import Tiny

VALUE = 0x1122_3344_5566_7718
#: Widths of what the guest stores and loads, in order; no sign bit is 1.
SIZES = (1, 2, 4, 8, 1, 1, 2, 2, 4)
ECHO = layout.ECHO_GPA


def cut(value: int, size: int) -> int:
    return value & (1 << 8 * size) - 1


@pytest.fixture
def machine(tiny: Tiny) -> TinyVm:
    machine = tiny("mmio", gic=0)
    machine.set_registers(arguments.mmio(value=VALUE))
    return machine


def loaded(machine: TinyVm) -> tuple[int, ...]:
    """Runs the guest to its end, and returns what its loads found."""
    assert isinstance(machine.vcpus[0].run(), SystemEvent)
    assert machine.report.count == len(SIZES)
    results: tuple[int, ...] = machine.report.results[: len(SIZES)]
    return results


def test_a_latch_keeps_what_every_width_stores(machine: TinyVm) -> None:
    latch = machine.vm.mmio_latch(ECHO, 8, 2**64 - 1)
    assert loaded(machine) == tuple(cut(VALUE, size) for size in SIZES)
    assert latch.value == VALUE


def test_a_constant_reads_in_every_width(machine: TinyVm) -> None:
    machine.vm.mmio_constant(ECHO - 4, 16, bytes(range(16)))
    first = int.from_bytes(bytes(range(4, 12)), "little")
    assert loaded(machine) == tuple(cut(first, size) for size in SIZES)


def test_ignored_and_counted(machine: TinyVm) -> None:
    counter = machine.vm.mmio_counter(ECHO, 8)
    assert loaded(machine) == (0,) * len(SIZES)
    assert (counter.loads, counter.stores) == (len(SIZES), len(SIZES))


def test_handlers_of_every_width(machine: TinyVm) -> None:
    seen: list[tuple[int, ...]] = []

    def read(offset: int, size: int) -> int:
        seen.append((offset, size))
        return cut(VALUE >> 8, size)

    machine.vm.mmio_handler(ECHO - 8, 16, read=read, write=lambda *store: seen.append(store))
    assert loaded(machine) == tuple(cut(VALUE >> 8, size) for size in SIZES)
    expected: list[tuple[int, ...]] = []
    for size in SIZES:
        expected += [(8, size, cut(VALUE, size)), (8, size)]
    assert seen == expected


def test_an_access_beyond_the_end_of_its_range_is_nobodys(machine: TinyVm) -> None:
    """The range has four bytes: what is wider comes out of run()."""
    machine.vm.mmio_ignore(ECHO, 4)
    vcpu = machine.vcpus[0]
    assert vcpu.run() == MmioWrite(ECHO, VALUE.to_bytes(8, "little"))
    assert vcpu.run() == MmioRead(ECHO, 8)
    vcpu.mmio_reply(VALUE)
    assert loaded(machine) == tuple(VALUE if size == 8 else 0 for size in SIZES)


def test_a_ring_keeps_the_order_of_stores_and_loads(machine: TinyVm) -> None:
    seen: list[Any] = []
    machine.vm.mmio_ring(ECHO, 8, lambda *store: seen.append(store), capacity=4)
    vcpu = machine.vcpus[0]
    for size in SIZES:
        assert vcpu.run() == MmioRead(ECHO, size)
        assert seen.pop() == (0, size, cut(VALUE, size))
        assert seen == []
        vcpu.mmio_reply(size)
    assert loaded(machine) == SIZES


def test_after_complete_mmio_the_registers_are_those_behind_the_access(machine: TinyVm) -> None:
    vcpu = machine.vcpus[0]
    for size in SIZES[:2]:
        assert vcpu.run() == MmioWrite(ECHO, cut(VALUE, size).to_bytes(size, "little"))
        pc = vcpu.get_one_reg("pc")
        vcpu.complete_mmio()
        vcpu.complete_mmio()
        assert vcpu.get_one_reg("pc") == pc + 4
        assert vcpu.run() == MmioRead(ECHO, size)
        pc = vcpu.get_one_reg("pc")
        vcpu.mmio_reply(size + 0x40)
        assert vcpu.get_one_reg("x11") == 2**64 - 1
        vcpu.complete_mmio()
        assert vcpu.get_one_reg("x11") == size + 0x40
        assert vcpu.get_one_reg("pc") == pc + 4


def test_after_stop_no_access_is_under_way(machine: TinyVm) -> None:
    """A thread that is stopped while a handler answers: the answer has arrived."""
    answered: list[int] = []
    vcpu = machine.vcpus[0]
    made = threading.Event()

    def read(offset: int, size: int) -> int:
        answered.append(vcpu.get_one_reg("pc"))
        assert made.wait(PATIENCE)
        thread.stop()
        return 0x5A

    machine.vm.mmio_handler(ECHO, 8, read=read, write=lambda *_: None)
    thread = VcpuThread(vcpu)
    made.set()
    thread.join(PATIENCE)
    assert vcpu.get_one_reg("pc") == answered[0] + 4
    assert vcpu.get_one_reg("x11") == 0x5A
