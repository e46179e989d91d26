# SPDX-License-Identifier: Apache-2.0
"""How a report is shown to people."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from pykvm import Cap
from pykvm.probe import ABOUT, GROUPS, Fact, Gap, Report, collect
from pykvm.probe.show import show
from pykvm.probe.words import shown, verdict
from tests.unit.reports import FAILED, NO, capability, check, good_report, yes


def text_of(report: Report, width: int = 80, *, verbose: bool = False, ascii: bool = False) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, highlight=False)
    show(report, console, verbose=verbose, ascii=ascii)
    return console.export_text()


def row(text: str, word: str) -> str:
    """The one line whose second word is ``word``, its spaces made single."""
    (line,) = [line for line in text.splitlines() if line.split()[1:2] == [word]]
    return " ".join(line.split())


REPORTS = {
    "good": good_report(),
    "lacking": good_report(**{name: NO for name in ABOUT if name not in ("kvm", "vm", "machine")}),
    "failing": good_report(irqfd=FAILED, sve=FAILED),
    "tested": dataclasses.replace(
        good_report(),
        selftest=(check("edge"), check("level", result="failed", failure="no-notice", why="So.")),
    ),
    "no kvm": collect("/dev/no-such-kvm"),
    "here": collect(),
}


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("name", REPORTS)
def test_it_fits(name: str, width: int, verbose: bool) -> None:
    text = text_of(REPORTS[name], width, verbose=verbose)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("name", REPORTS)
def test_ascii_is_ascii(name: str) -> None:
    text_of(REPORTS[name], verbose=True, ascii=True).encode("ascii")


def test_the_verdict_is_on_top() -> None:
    head = " ".join(text_of(good_report(gicv2=NO), 200).split("aarch64")[0].split())
    assert "VMs run here: GICv3, ITS, irqfd with resamplefd, SVE" in head
    assert "Without GICv2." in head


def test_groups_are_in_order() -> None:
    lines = text_of(good_report()).splitlines()
    titles = [line for line in lines if line in GROUPS.values()]
    assert titles == [title for name, title in GROUPS.items() if name not in ("host", "selftest")]


def test_every_no_has_its_reason_and_remedy() -> None:
    text = " ".join(text_of(good_report(sve=NO, counter_offset=NO)).split())
    assert "The CPUs have no SVE" in text
    assert "Write cntvct_el0 of each vCPU." in text


def test_what_depends_on_something_missing_is_not_repeated() -> None:
    assert "sve_lengths" not in text_of(good_report(sve=NO, sve_lengths=NO))
    assert "sve_lengths" in text_of(good_report(sve=NO, sve_lengths=NO), verbose=True)


def test_markup_in_facts_is_text() -> None:
    gap = Gap("n", "No [x].", "So [bold].", "Do [/y].")
    text = text_of(dataclasses.replace(good_report(container=yes("[red]")), gaps=(gap,)))
    assert "Missing: No [x].\n" in text
    assert "Remedy: Do [/y]." in text
    assert "[red]" in text


def test_without_kvm_the_reason_is_told_once() -> None:
    text = text_of(REPORTS["no kvm"])
    assert "No VMs here." in text
    assert text.count("Remedy:") == len(REPORTS["no kvm"].gaps)


def test_capabilities() -> None:
    text = text_of(good_report(), 120, verbose=True)
    line = {words[0]: words[1:4] for words in map(str.split, text.splitlines()) if words}
    assert line["KVM_CAP_N32"] == ["32", "1", "4.1"]
    assert line["KVM_CAP_N66"] == ["66", "512,", "VM"]
    assert line["KVM_CAP_N131"] == ["131", "VM", "1"]
    assert line["KVM_CAP_N229"] == ["229", "0x100000", "4.1"]
    assert line["KVM_CAP_N170"] == ["170", "0", "4.1"]


@pytest.mark.parametrize("width", [80, 160])
def test_the_longest_capability_fits(width: int) -> None:
    name = max((f"KVM_CAP_{cap.name}" for cap in Cap), key=len)
    answers = capability(243, Fact.failed("asked", 22), yes(1 << 31), name)
    meaning = max((cap.__doc__ or "" for cap in Cap), key=len)
    caps = (dataclasses.replace(answers, meaning=meaning),)
    text = text_of(dataclasses.replace(good_report(), capabilities=caps), width, verbose=True)
    assert name in text
    assert all(word in text.split() for word in meaning.split())


def test_registers_and_features() -> None:
    text = " ".join(text_of(good_report(), 200, verbose=True).split())
    assert "id_aa64pfr0_el1 0x100000012 writable 0xf00000000" in text
    assert "SVE*=1 (FEAT_SVE)" in text
    assert "Atomic=2 (FEAT_LSE)" in text
    assert "0 POWER_OFF ✔" in text
    assert "1 SVE – –" in text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("page_size", 16384, "16 KiB"), ("dirty_ring", 1 << 20, "1 MiB"),
        ("block_sizes", (4096, 1 << 21, 1 << 30), "4 KiB, 2 MiB, 1 GiB"),
        ("ipa_sizes", (32, 33, 34, 48), "32-34, 48"), ("ipa_bits", 48, "48 bits"),
        ("irqfd", True, "yes"), ("vcpus", 512, "512"), ("pmu_events", (1, 2, 3), "1, 2, 3"),
        ("statistics_vm", ("a" * 9, "b" * 9), "2"), ("hypercall_bitmaps", {"a": "1"}, "1"),
    ],
)  # fmt: skip
def test_values_in_words(name: str, value: object, words: str) -> None:
    assert shown(name, yes(value)) == words


def test_whole_values() -> None:
    assert shown("pmu_events", yes((0, 17)), whole=True) == "0x0 SW_INCR, 0x11 CPU_CYCLES"
    assert shown("hypercall_bitmaps", yes({"a": "1"}), whole=True) == "a=1"
    assert shown("irqfd", FAILED) == "failed: EPERM"


def test_verdicts() -> None:
    assert verdict(good_report())[0]
    assert not verdict(REPORTS["tested"])[0]
    assert "Selftest level FAILED: no-notice." in verdict(REPORTS["tested"])[1]
    assert "Not to be asked: irqfd, sve." in verdict(REPORTS["failing"])[1]
    assert not verdict(REPORTS["failing"])[0]
    assert not verdict(REPORTS["no kvm"])[0]
    elsewhere = good_report(machine=yes("riscv64"))
    assert verdict(elsewhere) == (False, "This machine is riscv64.")
    without = good_report(vcpu=Fact.failed("KVM_CREATE_VCPU", 1))
    assert verdict(without)[1].startswith("VMs can be made here, but no vCPUs: GICv3")
