# SPDX-License-Identifier: Apache-2.0
"""The ITS: its registers, and its tables in guest memory."""

from __future__ import annotations

import errno
import struct

import pytest
from guests import arguments, layout, words
from tinyvm import TinyVm

from pykvm import VM, SystemEvent, Vcpu, Vgic, VgicIts, VgicV3
from tests.arm64.conftest import refused
from tests.arm64.execute import put
from tests.arm64.spis import Tiny, ready
from tests.arm64.test_msi import DEVICE, arrives

pytestmark = pytest.mark.needs("its")

GET, SET = "KVM_GET_DEVICE_ATTR", "KVM_SET_DEVICE_ATTR"
VALID = 1 << 63
COMMAND_INT, COMMAND_SIZE = 0x03, 32


def mapped(tiny: Tiny) -> tuple[TinyVm, VgicIts]:
    """A machine whose guest has mapped four events, and is stopped."""
    machine = tiny("lpi", its=True)
    machine.set_registers(arguments.lpi(device_id=DEVICE, events=4))
    with machine.running():
        ready(machine)
    assert machine.its is not None
    return machine, machine.its


def word(machine: TinyVm, gpa: int) -> int:
    """64 bits of guest memory."""
    (value,) = struct.unpack("<Q", machine.memory.read(gpa - layout.RAM_GPA, 8))
    return int(value)


def sent(machine: TinyVm, event: int = 0) -> bool:
    assert machine.its is not None
    return machine.vm.signal_msi(machine.its.doorbell, event, devid=DEVICE)


@pytest.mark.covers("attr VGIC_ITS ADDR")
def test_the_guest_finds_the_its_where_it_was_put(tiny: Tiny) -> None:
    machine = tiny("execute", gic=3)
    with machine.vm.create_its() as its:
        its.addr = 0x0900_0000
        assert its.addr == 0x0900_0000
        put(machine, words.ldr(1, 0, 8), x=(0x0900_0000,))
        assert isinstance(machine.run(), SystemEvent)
        assert machine.report.results[1] == its.get_its_reg("GITS_TYPER") != 0


@pytest.mark.covers("attr VGIC_ITS CTRL INIT")
def test_init_reaches_the_kernel(vm: VM, vcpu: Vcpu, vgic: Vgic) -> None:
    """It has nothing to do in the kernels that there are; a dead VM shows that it gets there."""
    with vm.create_its() as its:
        its.addr = layout.ITS_GPA
        its.init()
        vgic.init()
        with refused(errno.ENXIO, "KVM_RUN"):  # the GIC has no place: this kills the VM
            vcpu.run()
        with refused(errno.EIO, SET):
            its.init()


@pytest.mark.covers("attr VGIC_ITS ITS_REGS")
def test_registers_as_host_and_guest_see_them(tiny: Tiny) -> None:
    machine, its = mapped(tiny)
    assert its.get_its_reg("GITS_CBASER") & 0xF_FFFF_F000 == layout.ITS_QUEUE_GPA
    assert its.get_its_reg("GITS_CREADR") == its.get_its_reg("gits_cwriter") > 0
    assert its.get_its_reg("GITS_BASER0") & VALID
    assert its.get_its_reg(0) & 1
    its.set_its_reg("GITS_CTLR", 0)
    with refused(errno.EBUSY, "KVM_SIGNAL_MSI"):
        sent(machine)
    its.set_its_reg("GITS_CTLR", 1)
    assert sent(machine)
    with machine.running():
        assert arrives(machine, 1)


def test_the_host_can_queue_commands(tiny: Tiny) -> None:
    machine, its = mapped(tiny)
    tail = its.get_its_reg("GITS_CWRITER")
    command = struct.pack("<QQQQ", COMMAND_INT | DEVICE << 32, 2, 0, 0)
    machine.memory.write(layout.ITS_QUEUE_GPA - layout.RAM_GPA + tail, command)
    its.set_its_reg("GITS_CWRITER", tail + COMMAND_SIZE)
    assert its.get_its_reg("GITS_CREADR") == tail + COMMAND_SIZE
    with machine.running():
        assert arrives(machine, 1, 2)


def test_registers_that_are_refused(tiny: Tiny) -> None:
    machine, its = mapped(tiny)
    with refused(errno.EBUSY, SET):
        its.set_its_reg("GITS_CREADR", 0)  # the ITS is on
    with refused(errno.EINVAL, SET):
        its.set_its_reg("GITS_IIDR", 0xF000)
    with refused(errno.ENXIO, GET):
        its.get_its_reg(0x40)
    with refused(errno.EINVAL, GET):
        its.get_its_reg(0x82)
    with pytest.raises(ValueError, match="value"):
        its.set_its_reg("GITS_CTLR", 1 << 32)
    with machine.vm.create_its() as nowhere, refused(errno.ENXIO, GET):
        nowhere.get_its_reg("GITS_CTLR")


@pytest.mark.covers("attr VGIC_V3 CTRL SAVE_PENDING_TABLES")
def test_pending_lpis_are_written_to_memory(tiny: Tiny) -> None:
    machine, _ = mapped(tiny)
    assert isinstance(machine.vgic, VgicV3)
    pending = layout.LPI_PENDING_GPA + layout.LPI_FIRST_INTID // 8
    assert sent(machine, 1)
    assert sent(machine, 3)
    assert word(machine, pending) == 0
    machine.vgic.save_pending_tables()
    assert word(machine, pending) == 1 << 1 | 1 << 3
    with machine.running():
        assert arrives(machine, 1, 1)
        assert arrives(machine, 1, 3)
    machine.vgic.save_pending_tables()
    assert word(machine, pending) == 0


@pytest.mark.covers("attr VGIC_ITS CTRL SAVE_TABLES")
def test_mappings_are_written_to_memory(tiny: Tiny) -> None:
    machine, its = mapped(tiny)
    device = layout.ITS_DEVICES_GPA + 8 * DEVICE
    assert word(machine, device) == word(machine, layout.ITS_COLLECTIONS_GPA) == 0
    its.save_tables()
    entry = word(machine, device)
    assert entry & VALID
    assert (entry >> 5 & 2**44 - 1) << 8 == layout.ITT_GPA
    assert word(machine, layout.ITS_COLLECTIONS_GPA) & VALID
    lpis = [word(machine, layout.ITT_GPA + 8 * event) >> 16 & 2**32 - 1 for event in range(4)]
    assert lpis == [layout.LPI_FIRST_INTID + event for event in range(4)]


@pytest.mark.covers("attr VGIC_ITS CTRL RESET")
def test_after_a_reset_it_is_as_it_was_at_first(tiny: Tiny) -> None:
    machine, its = mapped(tiny)
    its.reset()
    names = ("GITS_CBASER", "GITS_CREADR", "GITS_CWRITER")
    assert [its.get_its_reg(name) for name in names] == [0, 0, 0]
    assert not its.get_its_reg("GITS_CTLR") & 1
    assert not its.get_its_reg("GITS_BASER0") & VALID
    with refused(errno.EBUSY, "KVM_SIGNAL_MSI"):
        sent(machine)
    assert its.addr == layout.ITS_GPA


@pytest.mark.covers("attr VGIC_ITS CTRL RESTORE_TABLES")
def test_mappings_come_back_from_memory(tiny: Tiny) -> None:
    machine, its = mapped(tiny)
    its.save_tables()
    names = ("GITS_CBASER", "GITS_CREADR", "GITS_CWRITER", "GITS_BASER0", "GITS_BASER1")
    registers = {name: its.get_its_reg(name) for name in names}
    its.reset()
    for name, value in registers.items():
        its.set_its_reg(name, value)
    its.set_its_reg("GITS_CTLR", 1)
    assert not sent(machine), "without its tables it knows no event"
    its.set_its_reg("GITS_CTLR", 0)
    its.restore_tables()
    its.set_its_reg("GITS_CTLR", 1)
    with machine.running():
        for event in range(4):
            assert sent(machine, event)
            assert arrives(machine, 1, event)


def test_tables_that_make_no_sense_are_refused(tiny: Tiny) -> None:
    machine, its = mapped(tiny)
    its.save_tables()
    registers = {name: its.get_its_reg(name) for name in ("GITS_BASER0", "GITS_BASER1")}
    its.reset()
    for name, value in registers.items():
        its.set_its_reg(name, value)
    wrong = struct.pack("<Q", 1 << 16)  # an LPI below 8192
    machine.memory.write(layout.ITT_GPA - layout.RAM_GPA, wrong)
    with refused(errno.EINVAL, SET):
        its.restore_tables()


def test_control_is_for_stopped_vcpus(tiny: Tiny) -> None:
    machine = tiny("spin", gic=3, its=True)
    machine.set_registers(arguments.spin())
    assert isinstance(machine.vgic, VgicV3)
    assert machine.its is not None
    its, vgic = machine.its, machine.vgic
    with machine.running():
        while not machine.report.count:
            pass
        for call in (its.save_tables, its.restore_tables, its.reset, vgic.save_pending_tables):
            with refused(errno.EBUSY, SET):
                call()
        with refused(errno.EBUSY, GET):
            its.get_its_reg("GITS_CTLR")


def test_pending_tables_need_an_init(vm: VM, vgic: Vgic) -> None:
    assert isinstance(vgic, VgicV3)
    with refused(errno.ENXIO, SET):
        vgic.save_pending_tables()
