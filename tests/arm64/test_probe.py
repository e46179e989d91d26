# SPDX-License-Identifier: Apache-2.0
"""The probe on an arm64 host: its GICs, and the selftest, which must be right both ways."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from pykvm import Cap, Kvm, VcpuFeature
from pykvm.probe import Check, Report, collect
from pykvm.probe import selftest as module
from pykvm.probe import selftestguest as guest
from pykvm.probe.selftest import COUNT, FAILURES, Count, Machine, run_selftest
from pykvm.probe.selftestguest import EDGE_INTID, LEVEL_INTID
from pykvm.probe.show import show
from tests.arm64.test_examples import EXAMPLES
from tests.properties import holds


@pytest.fixture
def machine() -> Iterator[Machine]:
    """The selftest's own, before its guest starts."""
    with Kvm() as kvm, module._machine(kvm) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which at last nothing comes, however long they wait.

    What does come before has to come in this time, on a host that stalls too.
    """
    monkeypatch.setattr(module, "LIMIT", 8.0)


@pytest.fixture(scope="module")
def told() -> Report:
    """With the selftest, as the command makes it."""
    return collect(selftest=True)


def part(told: Report, name: str) -> Check:
    (found,) = [check for check in told.selftest or () if check.name == name]
    return found


def test_nothing_failed_to_be_asked(told: Report) -> None:
    assert [(name, fact) for name, fact in told.facts.items() if fact.state == "failed"] == []
    assert told.gaps == ()
    assert Report.from_json(told.to_json()) == told


def test_gics(told: Report) -> None:
    facts = told.facts
    assert facts["entered_at"].value == "EL2"
    assert facts["host_gic"].value in ("v2", "v3")
    for version, most in ((2, 8), (3, 512)):
        there = holds(f"vgicv{version}")
        assert facts[f"gicv{version}"].yes == there
        assert facts[f"gicv{version}_vcpus"].value == (most if there else None)
    assert facts["its"].yes == holds("its")
    assert facts["spis"].value == 960
    assert facts["irqfd"].yes
    assert facts["irqfd_resample"].yes


def test_what_cannot_be_has_a_reason(told: Report) -> None:
    for name, fact in told.facts.items():
        if fact.state == "no" and name not in ("container", "node_acl"):
            assert told.reason(name).why, name
    if not holds("vgicv2"):
        assert f"GIC{told.facts['host_gic'].value}" in told.reason("gicv2").why


@pytest.mark.parametrize(
    ("fact", "needed"),
    [
        ("sve", "sve"), ("pmu", "pmu"), ("ptrauth", "ptrauth"), ("aarch32_el1", "aarch32"),
        ("el2", "el2"), ("mte", "mte"), ("serror_esr", "ras"), ("smccc_filter", "smccc_filter"),
        ("steal_time", "stolen_time"), ("counter_offset", "counter_offset"),
        ("writable_id_registers", "reg_masks"), ("writable_implementation", "imp_id_regs"),
        ("dirty_ring", "dirty_ring"), ("guest_memfd", "guest_memfd"), ("pmu_strict", "pmu_strict"),
        ("eager_split", "eager_split"), ("el2_timers", "el2_timers"),
    ],
)  # fmt: skip
def test_facts_are_what_tests_find_in_their_own_way(told: Report, fact: str, needed: str) -> None:
    assert told.facts[fact].yes == holds(needed)


def test_limits(told: Report) -> None:
    sizes = told.facts["ipa_sizes"].value
    assert isinstance(sizes, tuple)
    widest = int(sizes[-1])
    assert told.facts["ipa_bits"].value == widest
    with Kvm() as kvm, kvm.create_vm(ipa_bits=widest) as vm:
        assert told.facts["vcpus"].value == vm.check_extension(Cap.MAX_VCPUS)
        assert told.facts["memory_slots"].value == vm.check_extension(Cap.NR_MEMSLOTS)


def test_vcpu_features_alone_and_together(told: Report) -> None:
    given = {frozenset(trial.features) for trial in told.vcpu_features if trial.fact.yes}
    assert len(told.vcpu_features) >= 55
    assert {frozenset({"POWER_OFF"}), frozenset({"POWER_OFF", "PSCI_0_2"})} <= given
    assert frozenset({"PTRAUTH_ADDRESS"}) not in given
    assert (frozenset({"PTRAUTH_ADDRESS", "PTRAUTH_GENERIC"}) in given) == holds("ptrauth")
    assert (frozenset({"EL1_32BIT"}) in given) == holds("aarch32")
    assert (frozenset({"SVE", "PSCI_0_2"}) in given) == holds("sve")


def test_id_registers_are_what_programs_are_told(told: Report) -> None:
    """The kernel tells programs of the CPUs by other words, which come from the same registers."""
    fields = {
        (register.name, field.name): field.value
        for register in told.registers
        for field in register.fields
    }
    features = told.facts["cpu_features"].value
    assert isinstance(features, tuple)
    for word, register, field, least in (
        ("atomics", "id_aa64isar0_el1", "Atomic", 2), ("aes", "id_aa64isar0_el1", "AES", 1),
        ("crc32", "id_aa64isar0_el1", "CRC32", 1), ("asimddp", "id_aa64isar0_el1", "DP", 1),
        ("dcpop", "id_aa64isar1_el1", "DPB", 1), ("sve", "id_aa64pfr0_el1", "SVE", 1),
        ("sve2", "id_aa64zfr0_el1", "SVEver", 1), ("mte", "id_aa64pfr1_el1", "MTE", 2),
        ("uscat", "id_aa64mmfr2_el1", "AT", 1), ("bti", "id_aa64pfr1_el1", "BT", 1),
    ):  # fmt: skip
        assert (word in features) == (fields.get((register, field), 0) >= least), word
    midr = next(register for register in told.registers if register.name == "midr_el1")
    midrs = told.facts["midr"].value
    assert isinstance(midrs, tuple)
    assert f"{midr.value:#010x}" in midrs


def test_writable_bits_are_the_kernel_s(told: Report) -> None:
    if not holds("reg_masks"):
        assert {register.writable for register in told.registers} == {None}
        return
    with Kvm() as kvm, kvm.create_vm() as vm:
        masks = vm.arm_get_reg_writable_masks()
    assert told.facts["writable_id_registers"].value == len(masks)
    for register in told.registers:
        assert register.writable == masks.get(register.id, 0)


@pytest.mark.needs("pmu")
def test_the_pmu_s_counters(told: Report) -> None:
    with Kvm() as kvm, kvm.create_vm() as vm, vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init([VcpuFeature.PMU_V3])
        assert told.facts["pmu_counters"].value == vcpu.get_one_reg("pmcr_el0") >> 11 & 31
    events = told.facts["pmu_events"].value
    assert isinstance(events, tuple)
    assert {0x00, 0x11} <= set(events), "SW_INCR and CPU_CYCLES"


def test_interrupts_arrive(told: Report) -> None:
    edge, ioeventfd = part(told, "edge"), part(told, "ioeventfd")
    for check in (edge, ioeventfd):
        assert (check.result, check.failure, check.why) == ("passed", None, "")
        assert check.gic == ("v3" if holds("vgicv3") else "v2")
        assert (check.sent, check.taken, check.ended) == (COUNT, COUNT, None)
        assert 0 < (check.median_us or 0) <= (check.worst_us or 0)
    assert (edge.rung, ioeventfd.rung) == (None, COUNT)


def test_msis_arrive_where_there_is_an_its(told: Report) -> None:
    msi = part(told, "msi")
    if holds("its"):
        assert (msi.result, msi.sent, msi.taken) == ("passed", COUNT, COUNT)
    else:
        assert (msi.result, msi.why) == ("impossible", "A GICv2 has no ITS.")
    assert told.facts["selftest_msi"].yes == holds("its")


def test_level_interrupts_as_another_guest_sees_them(told: Report) -> None:
    """The example's guest has vectors, an MMU and a count of its own; both must agree.

    Where the kernel is faulty, the example ends with 3 and says what it saw.
    """
    level = part(told, "level")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "irqfd_level.py", "--json", "--count", "20", "--without-mmio"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    assert level.gic == seen["gic"]
    if done.returncode == 0:
        assert (seen["taken"], seen["ended"], seen["resampled"]) == (20, 20, 20)
        assert (level.result, level.failure, level.why) == ("passed", None, "")
        assert level.sent == level.taken == level.ended == COUNT
        assert told.facts["selftest_level"].yes
    else:
        assert done.returncode == 3, done.stderr
        assert seen["taken"] > seen["sent"]
        assert (level.result, level.failure) == ("failed", "lost-end-of-interrupt")
        assert level.sent == (level.ended or 0) + 1 == (level.taken or 0) - 1
        assert "loses the end of a level interrupt" in told.reason("selftest_level").why


@pytest.mark.parametrize("verbose", [False, True])
def test_it_can_be_shown(told: Report, verbose: bool) -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    show(told, console, verbose=verbose)
    said = console.export_text()
    assert "VMs run here" in said
    assert "ipa_bits" in said
    assert max(map(len, said.splitlines())) <= 80
    assert ("KVM_CAP_ARM_VM_IPA_SIZE" in said) == verbose


@pytest.mark.binding
class TestItCanFail:
    """Each failure's name, from a guest or a binding that does what the name says."""

    @pytest.mark.usefixtures("impatient")
    def test_no_interrupt(self, machine: Machine) -> None:
        vm, vcpu, _, _ = machine
        elsewhere = vm.irqfd(intid=LEVEL_INTID + 2)  # an SPI that the guest leaves disabled
        count = module._drive(vcpu, elsewhere, LEVEL_INTID)
        assert count == Count(1, 0, 0, "no-interrupt")

    def test_not_ready(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "LIMIT", 1.0)
        vm, vcpu, vgic, _ = machine
        code = guest.DISTRIBUTOR + guest.INTERFACE[vgic.version]
        sleep = [text for _, text in code].index("1: wfi")
        vcpu.set_one_reg("pc", guest.RAM_GPA + 4 * sleep)
        count = module._drive(vcpu, vm.irqfd(intid=EDGE_INTID), EDGE_INTID)
        assert count == Count(0, 0, 0, "not-ready")

    @pytest.mark.usefixtures("impatient")
    def test_no_notice(self, machine: Machine) -> None:
        """Of the end of an edge interrupt, a resamplefd is never told."""
        vm, vcpu, _, _ = machine
        irqfd = vm.irqfd(intid=EDGE_INTID, resample=True)
        assert module._drive(vcpu, irqfd, EDGE_INTID) == Count(1, 1, 0, "no-notice")

    def test_spurious_interrupts(self, machine: Machine) -> None:
        """A level that nobody lowers comes again after each end."""
        vm, vcpu, _, _ = machine
        irqfd = vm.irqfd(intid=LEVEL_INTID)
        count = module._drive(vcpu, irqfd, LEVEL_INTID)
        assert count == Count(COUNT, COUNT + 1, 0, "spurious-interrupt")
        irqfd.close()
        vm.irq_line(LEVEL_INTID, 0)

    def test_no_ring(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody runs the guest that would store."""
        monkeypatch.setattr(module, "LIMIT", 0.5)
        bell = machine.vm.ioeventfd(guest.STORE_GPA, 4).eventfd
        count = Count()
        module._ring(count, machine.vm.irqfd(intid=EDGE_INTID), bell.fileno(), bell.read)
        assert count == Count(1, 0, 0, "no-ring", rung=0)

    def test_a_store_that_does_not_ring(self, machine: Machine) -> None:
        machine.vcpu.set_one_reg("x2", guest.STORE_GPA + 4)
        count = module._ioeventfd(machine)
        assert (count.sent, count.failure) == (0, "unexpected-exit")

    def test_another_exit(self, machine: Machine) -> None:
        vm, vcpu, _, _ = machine
        vcpu.set_one_reg("x2", guest.STORE_GPA + 4)
        count = module._drive(vcpu, vm.irqfd(intid=EDGE_INTID), EDGE_INTID)
        assert (count.sent, count.failure) == (0, "unexpected-exit")
        assert f"gpa={guest.STORE_GPA + 4}" in count.detail

    def test_a_refusal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "GICD_GPA", 0x0800_0100)  # not aligned
        with Kvm() as kvm:
            results = run_selftest(kvm)
        assert len(results) == 4
        for check in results:
            assert (check.result, check.failure) == ("failed", "refused")
            assert "KVM_SET_DEVICE_ATTR" in check.why
            assert not check.fact.yes

    def test_every_name_is_tried(self) -> None:
        here = Path(__file__).read_text(encoding="utf-8")
        assert [name for name in FAILURES if f'"{name}"' not in here] == []
