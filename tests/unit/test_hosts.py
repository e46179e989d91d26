# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a host's report is found; that a good one is found good, making one shows."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from pykvm.probe import Fact, Report
from pykvm.probe.idfields import layouts
from tests.hosts import expected
from tests.hosts.capabilities import LAST, disagreements
from tests.hosts.expected import HOSTS, Host, contradictions
from tests.hosts.fields import fields_in, misplaced
from tests.lab.kernels import Kernel
from tests.lab.shapes import Shape
from tests.rivals.__main__ import markdown
from tests.rivals.table import compared, contradiction
from tests.unit.reports import NO, good_report, yes

MIDR = 0x410FD0C0


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """No index of packages is looked at."""
    found = Kernel("linux-image-6.12.1-arm64", "trixie", "4k")
    monkeypatch.setattr("tests.lab.kernels.find", lambda *_: found)


def problems(report: Report, **configured: Any) -> list[str]:
    return list(contradictions(Host("a host", Shape(), configured), report))


def test_there_is_a_host_of_each_kind() -> None:
    assert len(HOSTS) >= 8
    assert len({host.name for host in HOSTS}) == len(HOSTS)
    for name, value in (
        ("gicv2", True), ("gicv3", True), ("kvm_mode", "vhe"), ("kvm_mode", "nvhe"),
        ("sve", True), ("mte", True), ("aarch32_el1", True), ("el2", True), ("page_size", 16384),
        ("irqfd", False), ("cpus", 4),
    ):  # fmt: skip
        assert any(host.expected[name] == value for host in HOSTS), (name, value)
    assert {host.shape.kernel for host in HOSTS} == {"6.1", "6.12", "newest"}


def test_what_is_as_it_was_configured() -> None:
    report = good_report(
        midr=yes(("0x413fd0c1", "0x414fd0c1")), cpus=yes(2), sve=NO, ipa_bits=yes(52)
    )
    assert problems(report, midr=MIDR, cpus=2, gicv3=True, sve=False) == []
    assert problems(report, ipa_bits=expected._Least(48)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("midr", 0x410FD070), ("cpus", 3), ("gicv3", False), ("ipa_bits", 44), ("page_size", 4096),
     ("ipa_bits", expected._Least(56))],
)  # fmt: skip
def test_what_is_not(name: str, value: Any) -> None:
    (problem,) = problems(good_report(midr=yes(("0x413fd0c1",)), cpus=yes(2)), **{name: value})
    assert problem.startswith(f"{name} is ")


def test_another_kernel_and_a_call_that_failed() -> None:
    (problem,) = problems(good_report(kernel=yes("6.13.1")))
    assert problem.startswith("kernel is ")
    (problem,) = problems(good_report(irqfd=Fact.failed("KVM_IRQFD", 1)))
    assert problem.startswith("irqfd failed to be asked")


def test_a_host_without_a_virtual_gic_must_say_so() -> None:
    host = Host("a host", Shape(), {"gicv3_vcpus": 512}, without_vgic=True)
    assert list(contradictions(host, good_report())) == ["no gap says that there is no virtual GIC"]


class TestCapabilities:
    def answers(self, **changed: str) -> str:
        told = {32: "1 1", 66: "512 8", 131: "-22 1", 229: "1048576 1048576"}
        told |= {int(key[1:]): value for key, value in changed.items()}
        return "".join(f"{n} {told.get(n, '0 0')}\n" for n in range(LAST + 1))

    def test_the_same(self) -> None:
        assert list(disagreements(good_report(), self.answers())) == []

    @pytest.mark.parametrize("changed", [{"n32": "0 1"}, {"n66": "512 512"}, {"n400": "0 1"}])
    def test_another(self, changed: dict[str, str]) -> None:
        (problem,) = disagreements(good_report(), self.answers(**changed))
        assert problem.startswith(f"capability {next(iter(changed))[1:]}: here (")

    def test_too_few(self) -> None:
        (problem,) = disagreements(good_report(), "0 0 0\n")
        assert "told 1 capabilities, not 401" in problem


class TestRivals:
    TOLD: ClassVar[dict[str, Any]] = {
        "kvm-ok": "INFO: /dev/kvm exists\nKVM acceleration can be used\n",
        "lscpu": {"lscpu": [
            {"field": "Architecture:", "data": "aarch64", "children": [
                {"field": "Byte Order:", "data": "Little Endian"}]},
            {"field": "CPU(s):", "data": "2"},
            {"field": "Vulnerability Mds:", "data": "Not affected"},
            {"field": "Vulnerability Tsa:", "data": "Not affected"},
        ]},
        "virt-host-validate": "  QEMU: Checking if device '/dev/kvm' exists  : PASS\n"
                              "  QEMU: Checking for secure guest support : WARN (Unknown | odd)\n",
        "gic": [{"version": 3, "emulated": True, "kernel": True}],
        "cpu": {"model": {"props": {"sve": True, "sve128": True, "sve256": False}}},
    }  # fmt: skip

    def test_line_by_line(self) -> None:
        report = good_report(cpus=yes(2), sve_lengths=yes((128,)))
        lines = list(compared(self.TOLD, report))
        assert [line for line in lines if contradiction(line, report)] == []
        assert [line.about for line in lines][:4] == [
            "the node", "Architecture", "Byte Order", "CPU(s)",
        ]  # fmt: skip
        table = markdown(lines)
        assert "| `lscpu` | Vulnerability Mds, Vulnerability Tsa | Not affected |" in table
        assert "WARN Unknown / odd" in table
        assert {row.count("|") for row in table.splitlines()} == {6}

    @pytest.mark.parametrize(
        "facts", [{"cpus": yes(3)}, {"gicv3": NO}, {"sve": NO}, {"sve_lengths": yes((128, 256))}]
    )
    def test_who_contradicts(self, facts: dict[str, Fact]) -> None:
        report = good_report(**{"cpus": yes(2), "sve_lengths": yes((128,)), **facts})
        wrong = [line for line in compared(self.TOLD, report) if contradiction(line, report)]
        assert [line.names[0] for line in wrong] == list(facts)

    def test_a_line_that_nobody_answers(self) -> None:
        told = {**self.TOLD, "lscpu": {"lscpu": [{"field": "Novelty:", "data": "1"}]}}
        with pytest.raises(KeyError, match="Novelty"):
            list(compared(told, good_report()))


class TestFields:
    def header(self, **changed: str) -> str:
        lines = {
            f"{register}_{name}": (lsb, width)
            for register, fields in layouts().items()
            for lsb, width, name, _ in fields
            if register.endswith("_el1")
        }
        text = ""
        for name, (lsb, width) in lines.items():
            lsb = int(changed.get(name, lsb))
            text += f"#define {name.upper()}_SHIFT   {lsb}\n#define {name.upper()}_WIDTH {width}\n"
        return text

    def test_the_same(self) -> None:
        assert list(misplaced(fields_in(self.header()))) == []

    def test_elsewhere(self) -> None:
        header = self.header(id_aa64pfr0_el1_SVE="36")
        (problem,) = misplaced(fields_in(header))
        assert problem == "id_aa64pfr0_el1.sve is (32, 4) here, (36, 4) in the kernel"

    def test_one_that_is_not_here(self) -> None:
        new = "#define ID_AA64PFR0_EL1_NEW_SHIFT 0\n#define ID_AA64PFR0_EL1_NEW_WIDTH 4\n"
        (problem,) = misplaced(fields_in(self.header() + new))
        assert problem == "id_aa64pfr0_el1.new, (0, 4) in the kernel, is not here"

    def test_a_header_that_says_nothing(self) -> None:
        (problem,) = misplaced(fields_in("#define X 5\n"))
        assert "cannot be read" in problem
