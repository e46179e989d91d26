# SPDX-License-Identifier: Apache-2.0
"""What brings a vCPU back from the guest, and how the guest goes on."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from guests import arguments, layout
from tally import wait_for
from tinyvm import GuestFailed, TinyVm

from pykvm import (
    Exit,
    KvmError,
    MmioRead,
    MmioWrite,
    SystemEvent,
    SystemEventType,
    Vcpu,
    VcpuFeature,
)
from tests.arm64.conftest import PATIENCE

Tiny = Callable[..., TinyVm]


def test_a_guest_says_hello(tiny: Tiny) -> None:
    machine = tiny("hello", gic=0)
    machine.set_registers(arguments.hello())
    heard = bytearray()

    def console(exit: Exit) -> None:
        assert isinstance(exit, MmioWrite)
        assert (exit.gpa, exit.size) == (layout.CONSOLE_GPA, 1)
        heard.extend(exit.data)

    end = machine.run(console)
    assert end == SystemEvent(SystemEventType.SHUTDOWN, (0,))
    assert b"ello" in heard


@pytest.mark.parametrize("as_bytes", [False, True])
def test_mmio_of_every_width(tiny: Tiny, as_bytes: bool) -> None:
    value = 0x1122_3344_5566_7788
    machine = tiny("mmio", gic=0)
    machine.set_registers(arguments.mmio(value=value))
    stored: list[int] = []
    sizes: list[int] = []

    def echo(exit: Exit) -> None:
        match exit:
            case MmioWrite(gpa=layout.ECHO_GPA):
                assert exit.value == value & (1 << 8 * exit.size) - 1
                stored.append(exit.value)
            case MmioRead(gpa=layout.ECHO_GPA, size=size):
                sizes.append(size)
                reply = stored[-1].to_bytes(size, "little") if as_bytes else stored[-1]
                machine.vcpus[0].mmio_reply(reply)
            case other:
                pytest.fail(f"unexpected {other}")

    machine.run(echo)
    assert sizes == [1, 2, 4, 8, 1, 1, 2, 2, 4]
    assert machine.report.results[:4] == (0x88, 0x7788, 0x5566_7788, value)


def test_a_load_without_reply_reads_zero(tiny: Tiny) -> None:
    machine = tiny("mmio", gic=0)
    machine.set_registers(arguments.mmio())
    machine.run(lambda _: None)
    assert machine.report.count == 9
    assert machine.report.results[:9] == (0,) * 9


def test_a_kick_completes_a_pending_load(tiny: Tiny) -> None:
    machine = tiny("mmio", gic=0)
    machine.set_registers(arguments.mmio())
    vcpu = machine.vcpus[0]
    while not isinstance(vcpu.run(), MmioRead):
        pass
    pc = vcpu.get_one_reg("pc")
    vcpu.mmio_reply(0x5A)
    vcpu.kick()
    vcpu.run()
    assert vcpu.get_one_reg("pc") == pc + 4


def test_replies_that_do_not_fit_are_refused(tiny: Tiny) -> None:
    machine = tiny("mmio", gic=0)
    machine.set_registers(arguments.mmio())
    vcpu = machine.vcpus[0]
    with pytest.raises(ValueError, match="no load"):
        vcpu.mmio_reply(0)
    assert isinstance(vcpu.run(), MmioWrite)
    with pytest.raises(ValueError, match="no load"):
        vcpu.mmio_reply(0)
    assert vcpu.run() == MmioRead(layout.ECHO_GPA, 1)
    for value in (256, -1):
        with pytest.raises(ValueError, match="value"):
            vcpu.mmio_reply(value)
    with pytest.raises(ValueError, match="1 bytes"):
        vcpu.mmio_reply(bytes(2))


def test_reset_and_a_second_life(tiny: Tiny) -> None:
    machine = tiny("psci", gic=0)
    registers = arguments.psci(action="system_reset")
    for life in (1, 2):
        machine.set_registers(registers)
        end = machine.run()
        assert isinstance(end, SystemEvent)
        assert end.type is SystemEventType.RESET
        assert machine.report.starts == life
        machine.vcpus[0].arm_vcpu_init([VcpuFeature.PSCI_0_2])


def test_a_second_cpu(tiny: Tiny) -> None:
    machine = tiny("psci", gic=0, cpus=2)
    machine.set_registers(arguments.psci(action="cpu_on", target_mpidr=1))
    with machine.running(cpu=1):
        end = machine.run()
        assert isinstance(end, SystemEvent)
        assert end.type is SystemEventType.SHUTDOWN
    assert machine.reports[1].starts == 1
    assert machine.reports[1].mpidr & 0xFF == 1


@pytest.mark.parametrize("kind", ["brk", "undefined", "data_abort", "instruction_abort"])
def test_a_guest_that_faults_says_so(tiny: Tiny, kind: arguments.Fault) -> None:
    machine = tiny("fault", gic=0)
    machine.set_registers(arguments.fault(kind=kind))
    with pytest.raises(GuestFailed):
        machine.run()
    assert machine.report.exception is not None


def test_the_guests_timer(tiny: Tiny) -> None:
    machine = tiny("timer")
    machine.set_registers(arguments.timer(gic_version=machine.gic_version, ticks=10_000, count=3))
    with machine.running():
        assert wait_for(lambda: machine.report.done, 1, PATIENCE), machine.report.failure
    assert machine.report.taken(layout.VIRTUAL_TIMER_INTID) == 3
    assert machine.report.ended(layout.VIRTUAL_TIMER_INTID) == 3
    assert machine.report.results[0] >= 10_000


def test_run_without_init(tiny: Tiny) -> None:
    machine = tiny("spin", gic=0)
    fresh: Vcpu = machine.vm.create_vcpu(5)
    with pytest.raises(KvmError, match="arm_vcpu_init") as caught:
        fresh.run()
    assert caught.value.errno == errno.ENOEXEC
    fresh.close()


def test_an_access_that_kvm_cannot_describe(tiny: Tiny) -> None:
    """A pair load from nowhere has no syndrome; the state is untouched and the error repeats."""
    machine = tiny("spin", gic=0)
    machine.memory.write(0, bytes.fromhex("0004 40a9"))  # ldp x0, x1, [x0]
    machine.set_registers({"pc": layout.RAM_GPA, "x0": layout.MMIO_GPA})
    for _ in range(2):
        with pytest.raises(KvmError, match="outside every slot") as caught:
            machine.vcpus[0].run()
        assert caught.value.errno == errno.ENOSYS
    assert machine.vcpus[0].get_one_reg("pc") == layout.RAM_GPA
