# SPDX-License-Identifier: Apache-2.0
"""The state of a GIC as a value: what it tells, where it fits, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from guests import arguments
from snapshot import save_gic
from tinyvm import TinyVm, vgic_frames

from pykvm import VM, Kvm, KvmBusyError, VcpuFeature, Vgic, VgicState, VgicV2, VgicV3
from tests.arm64.gics import Placed, each_gic, elsewhere
from tests.arm64.spis import INTID, Tiny, arrives, ready

SMALL = 96


def small(vgic: Vgic) -> None:
    vgic.nr_irqs = SMALL
    vgic_frames(vgic)
    vgic.init()


def restore(machine: TinyVm, state: VgicState) -> None:
    match machine.vgic:
        case VgicV3() as vgic:
            vgic.restore(state, its=[machine.its] if machine.its else [])
        case VgicV2() as vgic:
            vgic.restore(state)


def with_spi(gic: int, **options: Any) -> Placed:
    """A machine whose guest takes INTID 40, and is stopped."""
    machine = Placed("spi", small, gic=gic)
    machine.set_registers(arguments.spi(gic_version=gic, first_intid=INTID, **options))
    with machine.running():
        ready(machine)
    return machine


@each_gic()
def test_a_state_tells_what_a_guest_did(gic: int) -> None:
    with with_spi(gic) as machine, Placed("spi", small, gic=gic) as other:
        before = save_gic(machine)
        machine.vm.irq_line(INTID, 1)
        after = save_gic(machine)
        assert before.diff(after) == ["intid 40: pending False -> True"]
        assert after.diff(before) == ["intid 40: pending True -> False"]
        told = save_gic(other).diff(after)
        assert {"intid 40: priority 0x0 -> 0x80", "intid 40: enabled False -> True"} <= set(told)
        assert any("PMR" in line and line.startswith("cpu 0x0: ") for line in told)


@each_gic()
def test_a_state_can_be_sent_and_compared(gic: int) -> None:
    with with_spi(gic, trigger="level") as machine:
        machine.vm.irq_line(INTID, 1)
        state = save_gic(machine)
        assert state == save_gic(machine)
        for copy in (
            VgicState.from_json(state.to_json()),
            pickle.loads(pickle.dumps(state)),  # noqa: S301 - our own
        ):
            assert copy == state
            assert copy.diff(state) == []
        assert state.lines_up() == [(INTID, None)]


@each_gic()
def test_what_is_pending_is_taken_after_going_back(gic: int) -> None:
    """The same machine goes back to what it was: what it took since then, it takes again."""
    with with_spi(gic) as machine:
        machine.vm.irq_line(INTID, 1)
        state = save_gic(machine)
        with machine.running():
            assert arrives(machine, 1)
        assert save_gic(machine) != state
        restore(machine, state)
        assert state.diff(save_gic(machine)) == []
        with machine.running():
            assert arrives(machine, 2)


def _other_version(state: VgicState) -> VgicState:
    return state._replace(version=5 - state.version)


def _without_cpu(state: VgicState) -> VgicState:
    return state._replace(cpus=())


def _two_cpus(state: VgicState) -> VgicState:
    return state._replace(cpus=state.cpus * 2)


def _elsewhere(state: VgicState) -> VgicState:
    return state._replace(setup=(("dist_addr", 0x0900_0000), *state.setup[1:]))


def _newer(state: VgicState) -> VgicState:
    return state._replace(schema=2)


def _short(state: VgicState) -> VgicState:
    return state._replace(distributor=state.distributor[:-1])


def _wide(state: VgicState) -> VgicState:
    *others, (name, _) = state.distributor
    return state._replace(distributor=(*others, (name, 1 << 32)))


def _other_maker(state: VgicState) -> VgicState:
    registers = {**dict(state.distributor), "GICD_IIDR": 0}
    return state._replace(distributor=tuple(registers.items()))


CHANGES: list[tuple[Callable[[VgicState], VgicState], str]] = [
    (_other_version, "the version is"),
    (_without_cpu, "vCPUs is"),
    (_two_cpus, "vCPUs is"),
    (_elsewhere, "dist_addr is 0x9000000 in it"),
    (_newer, "schema 2"),
    (_short, "the distributor in this state is not what it should be"),
    (_wide, "32 bits cannot be"),
    (_other_maker, "GICD_IIDR is 0x0 in it"),
]


@each_gic()
def test_a_state_of_another_gic_is_refused_and_nothing_written(gic: int) -> None:
    with with_spi(gic) as machine, Placed("spi", small, gic=gic) as other:
        state = save_gic(machine)
        before = save_gic(other)
        for change, words in CHANGES:
            with pytest.raises(ValueError, match=words):
                restore(other, change(state))
        assert save_gic(other) == before
        restore(other, state)
        assert state.diff(save_gic(other)) == []


@each_gic()
def test_a_gic_of_another_size_or_place_is_refused(tiny: Tiny, gic: int) -> None:
    with with_spi(gic) as machine:
        state = save_gic(machine)
    with pytest.raises(ValueError, match="nr_irqs is 96 in it, and 256 here"):
        restore(tiny("spi", gic=gic), state)

    def nowhere(vgic: Vgic) -> None:
        vgic.nr_irqs = SMALL
        vgic.init()

    def there(vgic: Vgic) -> None:
        vgic.nr_irqs = SMALL
        elsewhere(vgic)

    with Placed("spi", nowhere, gic=gic) as machine, pytest.raises(ValueError, match="unset here"):
        restore(machine, state)
    with Placed("spi", there, gic=gic) as machine, pytest.raises(ValueError, match="dist_addr is"):
        restore(machine, state)
    with (
        Placed("spi", small, gic=gic, cpus=2) as machine,
        pytest.raises(ValueError, match="this state is of another GIC"),
    ):
        restore(machine, state)


@each_gic()
def test_whole_states_are_for_stopped_vcpus(tiny: Tiny, gic: int) -> None:
    machine = tiny("spin", gic=gic)
    machine.set_registers(arguments.spin())
    with machine.running():
        while not machine.report.count:
            pass
    state, before = save_gic(machine), machine.report.count
    with machine.running():
        while machine.report.count == before:
            pass
        with pytest.raises(KvmBusyError, match="inside a call"):
            save_gic(machine)
        with pytest.raises(KvmBusyError, match="inside a call"):
            restore(machine, state)
    assert save_gic(machine) == state


@pytest.mark.needs("vgicv2")
def test_a_line_that_is_up_is_no_latch_after_restoring_a_gicv2() -> None:
    with with_spi(2, trigger="level", count=2) as machine:
        for intid in (INTID, INTID + 1):
            machine.vm.irq_line(intid, 1)
        state = save_gic(machine)
    assert state.lines_up() == [(INTID, None), (INTID + 1, None)]
    with Placed("spi", small, gic=2) as other:
        vgic, vm = other.vgic, other.vm
        assert isinstance(vgic, VgicV2)
        vgic.restore(state, lines_up=[(INTID, None)])
        assert vgic.get_dist_reg("GICD_ISPENDR1") == 1 << INTID + 1 - 32
        for intid in (INTID, INTID + 1):
            vm.irq_line(intid, 1)
        assert save_gic(other) == state
        for intid in (INTID, INTID + 1):
            vm.irq_line(intid, 0)
        assert vgic.get_dist_reg("GICD_ISPENDR1") == 1 << INTID + 1 - 32, "only one was latched"


@pytest.mark.needs("vgicv2")
def test_who_sent_an_sgi_survives() -> None:
    with (
        Placed("spi", small, gic=2, cpus=3) as machine,
        Placed("spi", small, gic=2, cpus=3) as other,
    ):
        vgic = machine.vgic
        assert isinstance(vgic, VgicV2)
        vgic.set_dist_reg("GICD_SPENDSGIR1", 0b110 << 8, vcpu_id=1)  # SGI 5, from CPUs 1 and 2
        state = save_gic(machine)
        assert "cpu 0x1: intid 5: pending from CPUs 0x0 -> 0x6" in save_gic(other).diff(state)
        restore(other, state)
        assert save_gic(other) == state


@pytest.mark.needs("vgicv3")
def test_vcpus_with_numbers_of_their_own(tiny: Tiny) -> None:
    with Kvm() as kvm, kvm.create_vm() as vm:
        numbers = (0, 3, 17)
        vcpus = [vm.create_vcpu(number) for number in numbers]
        for vcpu in vcpus:
            vcpu.arm_vcpu_init()
        vgic = vm.create_vgic(3)
        assert isinstance(vgic, VgicV3)
        small(vgic)
        vgic.set_redist_reg("GICR_ISPENDR0", 1 << 20, vcpu_id=17)
        state = vgic.save()
        assert [cpu.cpu for cpu in state.cpus] == [0, 3, 0x101]
        assert dict(state.cpus[2].private)["GICR_ISPENDR0"] == 1 << 20
        assert vgic.save(mpidrs=[vcpu.get_one_reg("mpidr_el1") for vcpu in vcpus]) == state
        vgic.set_redist_reg("GICR_ISPENDR0", 0, mpidr=0x101)
        vgic.restore(state)
        assert vgic.save() == state
        with kvm.adopt_vm(vm) as adopted:
            assert not adopted.closed


@pytest.mark.needs("its")
def test_an_its_belongs_to_the_state(tiny: Tiny) -> None:
    machine = tiny("lpi", its=True)
    vgic, its = machine.vgic, machine.its
    assert isinstance(vgic, VgicV3)
    assert its is not None
    with pytest.raises(ValueError, match="its has none of the VM's ITSs"):
        vgic.save()
    state = save_gic(machine)
    assert [its.addr for its in state.its] == [its.addr]
    with pytest.raises(ValueError, match="the list of ITSs is"):
        vgic.restore(state)
    other = tiny("lpi")
    assert isinstance(other.vgic, VgicV3)
    with pytest.raises(ValueError, match="GICD_TYPER is"):
        other.vgic.restore(state)
    with pytest.raises(ValueError, match="its has ITSs, but this VM has none"):
        other.vgic.save(its=[its])
    with machine.vm.create_its() as nowhere, pytest.raises(ValueError, match="without an address"):
        vgic.save(its=[its, nowhere])


@pytest.mark.needs("vgicv3")
def test_more_priority_bits_than_there_are(tiny: Tiny) -> None:
    machine = tiny("spi", gic=3)
    assert isinstance(machine.vgic, VgicV3)
    state = save_gic(machine)
    (cpu,) = state.cpus
    interface = dict(cpu.interface)
    if interface["ICC_CTLR_EL1"] >> 8 & 7 == 7:
        return  # there cannot be more
    interface["ICC_CTLR_EL1"] |= 7 << 8
    cpu = cpu._replace(interface=tuple(interface.items()))
    with pytest.raises(ValueError, match="priority bits is 8 in it"):
        machine.vgic.restore(state._replace(cpus=(cpu,)))


@pytest.mark.needs("el2")
def test_a_guest_hypervisors_own_interrupts_belong_to_the_state(vm: VM) -> None:
    vm.create_vcpu(0).arm_vcpu_init([VcpuFeature.PSCI_0_2, VcpuFeature.HAS_EL2])
    vgic = vm.create_vgic(3)
    assert isinstance(vgic, VgicV3)
    small(vgic)
    vgic.set_cpu_sysreg("ICH_LR3_EL2", 1 << 62 | 40)
    state = vgic.save()
    assert dict(state.cpus[0].interface)["ICH_LR3_EL2"] == 1 << 62 | 40
    vgic.set_cpu_sysreg("ICH_LR3_EL2", 0)
    assert state.diff(vgic.save()) == [
        "cpu 0x0: ICH_LR3_EL2 0x4000000000000028 -> 0x0",
    ]
    vgic.restore(state)
    assert vgic.save() == state
