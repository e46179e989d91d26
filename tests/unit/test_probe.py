# SPDX-License-Identifier: Apache-2.0
"""The probe, as far as it goes without KVM: what it tells then, and how it is shown."""

from __future__ import annotations

import io
import json
import platform
from typing import Any

import pytest
from rich.console import Console

from pykvm import Cap, DeviceType
from pykvm.cli import main
from pykvm.host import gic_in, level_in
from pykvm.probe import collect
from pykvm.render import show_probe

#: Lines of /proc/interrupts, of hosts that were entered at EL2 with VHE, at EL2 without, at EL1.
_VHE = """\
           CPU0       CPU1
  9:          0          0     GICv3  25 Level     vgic
 11:          0          0     GICv3  30 Level     kvm guest ptimer
 12:          0          0     GICv3  27 Level     kvm guest vtimer
 13:       3295       3014     GICv3  26 Level     arch_timer
"""
_NVHE = """\
           CPU0       CPU1
  9:          0          0     GICv2  25 Level     vgic
 11:       2111       2703     GICv2  30 Level     arch_timer
 12:          0          0     GICv2  27 Level     kvm guest vtimer
"""
_EL1 = """\
           CPU0       CPU1
 11:       2101       2377     GICv3  27 Level     arch_timer
 14:          0          0     GICv3  33 Level     uart-pl011
"""


def facts(**changed: Any) -> dict[str, Any]:
    """What a good host tells, in short."""
    capability = {"number": 32, "system": 1, "vm": 1, "meaning": "1: eventfds can inject."}
    return {
        **collect("/dev/no-such-kvm"),
        "kvm": True,
        "machine": "aarch64",
        "missing": [],
        "api_version": 12,
        "ipa_bits": 44,
        "limits": dict.fromkeys(
            ("vcpus_advised", "vcpus", "vcpu_ids", "memory_slots", "routing_entries"), 77
        ),
        "gics": [
            {
                "version": 2, "vcpus": 8, "nr_irqs": 992, "spis": 960, "irqfd": True,
                "resample": False,
            }
        ],
        "irqfd": {"works": True, "resample": False, "by": "trial"},
        "devices": [
            {"name": "KVM_DEV_TYPE_VFIO", "type": 4, "available": True, "meaning": "Binds groups."}
        ],
        "capabilities": [
            {"name": "KVM_CAP_IRQFD", **capability},
            {"name": "KVM_CAP_MAX_VCPUS", **capability, "system": 512, "vm": 8},
            {"name": "KVM_CAP_MSI_DEVID", **capability, "system": None, "vm": 1},
            {"name": "KVM_CAP_BITS", **capability, "system": 1 << 20, "vm": 1 << 20},
            {"name": "KVM_CAP_ARM_SVE", **capability, "system": 0, "vm": 0},
        ],
        **changed,
    }  # fmt: skip


def shown(facts: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, highlight=False)
    show_probe(facts, console)
    return console.export_text()


def row(text: str, word: str) -> str:
    """The one line that begins with ``word``, its spaces made single."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [word]]
    return " ".join(line.split())


class TestCollect:
    def test_without_kvm_everything_else_is_told(self) -> None:
        told = collect("/dev/no-such-kvm")
        assert (told["schema"], told["kvm"], told["path"]) == (0, False, "/dev/no-such-kvm")
        assert (told["machine"], told["kernel"]) == (platform.machine(), platform.release())
        assert told["api_version"] is told["ipa_bits"] is told["selftest"] is None
        assert told["capabilities"] == told["devices"] == told["gics"] == []
        assert {"node", "driver"} & {gap["name"] for gap in told["missing"]}
        for gap in told["missing"]:
            assert set(gap) == {"name", "what", "why", "remedy"}
            assert all(gap.values()), gap

    def test_the_selftest_says_why_it_cannot_be(self) -> None:
        told = collect("/dev/no-such-kvm", selftest=True)["selftest"]
        assert [result["name"] for result in told] == ["edge-interrupt", "level-interrupt"]
        for result in told:
            assert (result["result"], result["failure"]) == ("impossible", None)
            assert "no KVM" in result["why"]

    def test_a_file_that_is_not_kvm(self) -> None:
        (gap,) = [gap for gap in collect("/dev/null")["missing"] if gap["name"] == "kvm"]
        assert "/dev/null cannot be used: Inappropriate ioctl" in gap["what"]
        assert "is not /dev/kvm" in gap["why"]

    def test_every_word_of_the_enums_is_there(self) -> None:
        assert Cap.IRQFD.__doc__ == "1: eventfds can inject interrupts."
        assert "GICv2" in (DeviceType.ARM_VGIC_V2.__doc__ or "")


class TestCommand:
    def test_the_status_is_0_without_kvm(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["probe", "--device", "/dev/no-such-kvm"]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert "No KVM to use on" in said.out
        assert "Missing: There is no /dev/no-such-kvm" in said.out
        assert "Remedy: " in said.out

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["probe", "--json", "--selftest", "--device", "/dev/no-such-kvm"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert next(iter(told)) == "schema"
        assert told == collect("/dev/no-such-kvm", selftest=True)

    @pytest.mark.parametrize("words", [[], ["probe", "--devise", "x"], ["prove"], ["probe", "x"]])
    def test_the_status_is_2_for_a_bad_command_line(self, words: list[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2


class TestRender:
    @pytest.mark.parametrize("width", [80, 100, 160])
    def test_it_fits(self, width: int) -> None:
        name = "KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED"
        meaning = max((cap.__doc__ or "" for cap in Cap), key=len)
        answers = {"number": 243, "system": None, "vm": 1 << 31}
        text = shown(facts(capabilities=[{"name": name, "meaning": meaning, **answers}]), width)
        assert max(map(len, text.splitlines())) <= width
        assert row(text, name).startswith(f"{name} 243 VM 0x80000000")
        assert all(word in text.split() for word in meaning.split())

    @pytest.mark.parametrize("width", [80, 160])
    def test_answers_of_the_system_and_of_the_vm(self, width: int) -> None:
        text = shown(facts(), width)
        tail = " 1: eventfds can inject." if width == 160 else ""
        assert row(text, "KVM_CAP_IRQFD") == f"KVM_CAP_IRQFD 32 1{tail}"
        assert row(text, "KVM_CAP_MAX_VCPUS") == f"KVM_CAP_MAX_VCPUS 32 512, VM 8{tail}"
        assert row(text, "KVM_CAP_MSI_DEVID") == f"KVM_CAP_MSI_DEVID 32 VM 1{tail}"
        assert row(text, "KVM_CAP_BITS") == f"KVM_CAP_BITS 32 0x100000{tail}"
        assert "Answered 0 (KVM_CAP_…): ARM_SVE\n" in text

    def test_limits_and_gics(self) -> None:
        text = shown(facts(), 200)
        assert "guest physical addresses of 44 bits, 77 vCPUs that are advisable" in text
        assert "Its GICv2: 8 vCPUs, 960 SPIs, irqfd yes, with resamplefd no" in text

    def test_what_is_missing_comes_with_its_remedy(self) -> None:
        gap = {"name": "n", "what": "No [x].", "why": "So [bold].", "remedy": "Do [/y]."}
        text = shown(facts(missing=[gap, {**gap, "remedy": ""}]))
        assert text.count("Missing: No [x].\n  So [bold].") == 2
        assert text.count("Remedy: Do [/y].") == text.count("Remedy") == 1

    def test_selftest(self) -> None:
        passed = {
            "name": "edge-interrupt", "result": "passed", "failure": None, "why": "", "gic": "v3",
            "sent": 9, "taken": 9, "ended": None,
        }  # fmt: skip
        failed = {**passed, "name": "level-interrupt", "result": "failed", "failure": "no-notice"}
        failed |= {"why": "Because.", "ended": 0}
        text = shown(facts(selftest=[passed, failed]))
        assert row(text, "edge-interrupt") == "edge-interrupt passed v3 9 9 -"
        assert row(text, "level-interrupt") == "level-interrupt FAILED v3 9 9 0"
        assert "no-notice: Because.\n" in text


class TestHost:
    def test_the_level_shows_in_the_timer_s_interrupt(self) -> None:
        assert [level_in(text, []) for text in (_VHE, _NVHE, _EL1)] == ["EL2", "EL2", "EL1"]
        assert level_in("", []) is None
        assert level_in(" 5: 7 7 GICv3 99 Level arch_timer\n", []) is None

    def test_the_kernel_s_own_word_wins(self) -> None:
        assert level_in(_VHE, ["kvm [1]: x", "CPU: All CPU(s) started at EL1"]) == "EL1"

    def test_the_host_s_gic(self) -> None:
        assert [gic_in(text) for text in (_VHE, _NVHE, _EL1)] == ["v3", "v2", "v3"]
        assert gic_in("  3:  7   GIC-0  27 Level  arch_timer\n") == "v2"
        assert gic_in("  0:  9   IO-APIC   2-edge  timer\n") is None
