# SPDX-License-Identifier: Apache-2.0
"""The probe on an arm64 host: its GICs, and the selftest, which must be right both ways."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykvm import VM, Cap, DeviceType, Kvm, Vcpu
from pykvm import selftest as module
from pykvm.cli import main
from pykvm.probe import collect
from pykvm.selftest import COUNT, EDGE_INTID, LEVEL_INTID, run_selftest
from tests.arm64.test_examples import EXAMPLES
from tests.properties import holds

Machine = tuple[VM, Vcpu, int]


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


def test_gics() -> None:
    told = collect()
    assert told["kvm"]
    assert told["entered_at"] == "EL2"
    assert told["host_gic"] in ("v2", "v3")
    expected = [version for version in (2, 3) if holds(f"vgicv{version}")]
    assert [gic["version"] for gic in told["gics"]] == expected
    for gic in told["gics"]:
        assert gic["vcpus"] == (8 if gic["version"] == 2 else 512)
        assert (gic["nr_irqs"], gic["spis"]) == (992, 960)
        assert gic["irqfd"]
        assert gic["resample"]
    assert told["irqfd"] == {"works": True, "resample": True, "by": "trial"}


def test_what_is_missing_is() -> None:
    told = collect()
    names = {gap["name"] for gap in told["missing"]}
    having = {"gicv2": "vgicv2", "gicv3": "vgicv3"}
    assert names == {name for name, needed in having.items() if not holds(needed)}
    for gap in told["missing"]:
        assert f"GIC{told['host_gic']}" in gap["why"]


def test_limits() -> None:
    told = collect()
    with Kvm() as kvm:
        assert told["ipa_bits"] == (kvm.check_extension(Cap.ARM_VM_IPA_SIZE) or 40)
        with kvm.create_vm(ipa_bits=told["ipa_bits"]) as vm:
            assert told["limits"]["vcpus"] == vm.check_extension(Cap.MAX_VCPUS)
    devices = {device["type"]: device["available"] for device in told["devices"]}
    assert devices[DeviceType.ARM_VGIC_ITS] == holds("its")
    assert not devices[DeviceType.ARM_PV_TIME]


def test_edge_interrupts_arrive() -> None:
    with Kvm() as kvm:
        edge, _ = run_selftest(kvm)
    assert edge == {
        "name": "edge-interrupt", "result": "passed", "failure": None, "why": "",
        "gic": "v3" if holds("vgicv3") else "v2", "sent": COUNT, "taken": COUNT, "ended": None,
    }  # fmt: skip


def test_level_interrupts_as_another_guest_sees_them() -> None:
    """The example's guest has vectors, an MMU and a count of its own; both must agree.

    Where the kernel is faulty, the example ends with 3 and says what it saw.
    """
    with Kvm() as kvm:
        _, level = run_selftest(kvm)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "irqfd_level.py", "--json", "--count", "20", "--without-mmio"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    assert level["gic"] == seen["gic"]
    if done.returncode == 0:
        assert (seen["taken"], seen["ended"], seen["resampled"]) == (20, 20, 20)
        assert (level["result"], level["failure"], level["why"]) == ("passed", None, "")
        assert level["sent"] == level["taken"] == level["ended"] == COUNT
    else:
        assert done.returncode == 3, done.stderr
        assert seen["taken"] > seen["sent"]
        assert (level["result"], level["failure"]) == ("failed", "lost-end-of-interrupt")
        assert level["sent"] == level["ended"] + 1 == level["taken"] - 1
        assert "loses the end of a level interrupt" in level["why"]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--json", "--selftest"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["selftest"][0]["result"] == "passed"
    assert main(["probe", "--selftest"]) == 0
    said = capsys.readouterr().out
    assert "KVM on aarch64" in said
    assert "KVM_CAP_ARM_VM_IPA_SIZE" in said


@pytest.mark.binding
class TestItCanFail:
    """Each failure's name, from a guest or a binding that does what the name says."""

    @pytest.mark.usefixtures("impatient")
    def test_no_interrupt(self, machine: Machine) -> None:
        vm, vcpu, _ = machine
        elsewhere = vm.irqfd(intid=LEVEL_INTID + 2)  # an SPI that the guest leaves disabled
        count = module._drive(vcpu, elsewhere, LEVEL_INTID)
        assert count == (1, 0, 0, "no-interrupt", "")

    def test_not_ready(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "LIMIT", 1.0)
        vm, vcpu, version = machine
        code = module.DISTRIBUTOR + module.INTERFACE[version]
        sleep = [text for _, text in code].index("1: wfi")
        vcpu.set_one_reg("pc", module.RAM_GPA + 4 * sleep)
        count = module._drive(vcpu, vm.irqfd(intid=EDGE_INTID), EDGE_INTID)
        assert count == (0, 0, 0, "not-ready", "")

    @pytest.mark.usefixtures("impatient")
    def test_no_notice(self, machine: Machine) -> None:
        """Of the end of an edge interrupt, a resamplefd is never told."""
        vm, vcpu, _ = machine
        irqfd = vm.irqfd(intid=EDGE_INTID, resample=True)
        assert module._drive(vcpu, irqfd, EDGE_INTID) == (1, 1, 0, "no-notice", "")

    def test_spurious_interrupts(self, machine: Machine) -> None:
        """A level that nobody lowers comes again after each end."""
        vm, vcpu, _ = machine
        irqfd = vm.irqfd(intid=LEVEL_INTID)
        count = module._drive(vcpu, irqfd, LEVEL_INTID)
        assert count == (COUNT, COUNT + 1, 0, "spurious-interrupt", "")
        irqfd.close()
        vm.irq_line(LEVEL_INTID, 0)

    def test_another_exit(self, machine: Machine) -> None:
        vm, vcpu, _ = machine
        vcpu.set_one_reg("x2", module.STORE_GPA + 4)
        count = module._drive(vcpu, vm.irqfd(intid=EDGE_INTID), EDGE_INTID)
        assert (count.sent, count.failure) == (0, "unexpected-exit")
        assert f"gpa={module.STORE_GPA + 4}" in count.detail

    def test_a_refusal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "GICD_GPA", 0x0800_0100)  # not aligned
        with Kvm() as kvm:
            results = run_selftest(kvm)
        for result in results:
            assert (result["result"], result["failure"]) == ("failed", "refused")
            assert "KVM_SET_DEVICE_ATTR" in result["why"]

    def test_every_name_is_tried(self) -> None:
        here = Path(__file__).read_text(encoding="utf-8")
        assert [name for name in module.FAILURES if f'"{name}"' not in here] == []
