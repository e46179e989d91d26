# SPDX-License-Identifier: Apache-2.0
"""The probe's reports, as far as they go without KVM, and their JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from pykvm import Cap, DeviceType
from pykvm.cli import main
from pykvm.probe import ABOUT, GROUPS, SCHEMA, Fact, Report, UnreadableReport, collect, schema
from pykvm.probe.since import SINCE
from tests.unit.reports import FAILED, NO, check, good_report, yes

WRONG: tuple[Any, ...] = (None, 5, "x", [], {}, [5], {"x": 5}, [[]], [{"x": 1}])
VALIDATOR = Draft202012Validator(schema())


@pytest.fixture(scope="module")
def bare() -> Report:
    """What is told where there is no KVM."""
    return collect("/dev/no-such-kvm", selftest=True)


def tree(report: Report) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(report.to_json())
    return made


class TestCollect:
    def test_without_kvm_everything_else_is_told(self, bare: Report) -> None:
        assert (bare.schema, bare.facts["node"].value) == (SCHEMA, "/dev/no-such-kvm")
        assert bare.facts["machine"].value == platform.machine()
        assert bare.facts["kernel"].value == platform.release()
        assert (bare.capabilities, bare.vcpu_features, bare.registers) == ((), (), ())
        assert {"node", "driver"} & {gap.name for gap in bare.gaps}
        assert all(all(dataclasses.astuple(gap)) for gap in bare.gaps)

    def test_every_name_is_there_and_failed_for_the_same_reason(self, bare: Report) -> None:
        assert list(bare.facts) == list(ABOUT)
        for name, about in ABOUT.items():
            if about.group not in ("host", "selftest"):
                assert bare.facts[name] == Fact.failed("open /dev/no-such-kvm", 2)
                assert bare.reason(name).remedy

    def test_the_selftest_says_why_it_cannot_be(self, bare: Report) -> None:
        assert bare.selftest is not None
        assert [part.name for part in bare.selftest] == ["edge", "level", "ioeventfd", "msi"]
        for part in bare.selftest:
            assert (part.result, part.failure) == ("impossible", None)
            assert "no KVM" in part.why

    @pytest.mark.parametrize(
        "path", ["/dev/null", "/etc/passwd", "/dev", "", "a\0b", "/dev/null/x"]
    )
    def test_a_node_that_is_none(self, path: str) -> None:
        report = collect(path)
        assert report.facts["kvm"].state == "failed"
        assert report.gaps[-1].what

    def test_what_is_no_kvm_is_told_so(self) -> None:
        gap = collect("/dev/null").gaps[-1]
        assert "/dev/null cannot be used: Inappropriate ioctl" in gap.what
        assert "is not /dev/kvm" in gap.why


class TestNames:
    def test_every_word_of_the_enums_is_there(self) -> None:
        assert Cap.IRQFD.__doc__ == "1: eventfds can inject interrupts."
        assert "GICv2" in (DeviceType.ARM_VGIC_V2.__doc__ or "")

    def test_every_capability_has_its_kernel(self) -> None:
        assert set(SINCE) == set(Cap)
        assert SINCE[Cap.IRQFD] == "4.1"
        assert SINCE[Cap.ARM_PMU_V3_STRICT] == "7.3"

    def test_names_are_described(self) -> None:
        for name, about in ABOUT.items():
            assert name.isidentifier()
            assert name == name.lower()
            assert about.group in GROUPS
            assert about.meaning
            assert not about.meaning.endswith(".")
            assert about.of == "" or about.of in ABOUT

    def test_the_schema_asks_for_each(self) -> None:
        assert schema()["properties"]["facts"]["required"] == list(ABOUT)
        assert schema()["properties"]["schema"]["const"] == SCHEMA


class TestJson:
    def reports(self, bare: Report) -> list[Report]:
        parts = (check("edge"), check("level", result="failed", failure="no-notice", ended=3))
        good = dataclasses.replace(good_report(sve=NO, irqfd=FAILED), selftest=parts)
        return [bare, good]

    def test_it_comes_back_as_it_was(self, bare: Report) -> None:
        for report in self.reports(bare):
            assert Report.from_json(report.to_json()) == report

    def test_it_is_as_its_schema_says(self, bare: Report) -> None:
        Draft202012Validator.check_schema(schema())
        for report in self.reports(bare):
            VALIDATOR.validate(tree(report))

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            (("schema",), 2), (("facts", "irqfd", "state"), "maybe"), (("facts", "new"), True),
            (("facts", "irqfd", "value"), None), (("facts", "sve", "value"), 1),
            (("facts", "gicv2"), {"state": "failed", "value": None, "errno": None, "source": ""}),
            (("registers", 0, "value"), 5), (("more",), 1), (("capabilities", 0, "number"), "32"),
            (("selftest",), [{"name": "edge"}]), (("facts",), {}),
        ],
    )  # fmt: skip
    def test_the_schema_refuses(self, place: tuple[Any, ...], value: Any) -> None:
        wrong: Any = tree(good_report(sve=NO))
        VALIDATOR.validate(wrong)
        inner = wrong
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        with pytest.raises(ValidationError):
            VALIDATOR.validate(wrong)

    def test_numbers_of_64_bits_are_strings(self) -> None:
        register = tree(good_report())["registers"][0]
        assert (register["value"], register["writable"]) == ("0x100000012", "0xf00000000")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "no JSON"),
            ("{", "no JSON"),
            ("[" * 100_000, "no JSON"),
            ("[]", "no report"),
            ('{"schema": "1"}', "no report"),
            ('{"hello": 1}', "no report"),
            ('{"schema": 2}', "its schema is 2, not 1; a newer pykvm made it"),
            ('{"schema": 0}', "its schema is 0, not 1"),
            ('{"schema": 1}', "no report"),
            ('{"schema": 1, "pykvm": "1", "facts": [1]}', "no report"),
        ],
    )
    def test_what_is_no_report_is_told_so(self, text: str, words: str) -> None:
        with pytest.raises(UnreadableReport, match=words):
            Report.from_json(text)

    def test_every_part_may_be_broken(self) -> None:
        """Whatever is exchanged for something else: it is read, or refused in words."""
        text = good_report().to_json()
        for key in json.loads(text):
            for wrong in WRONG:
                changed: dict[str, Any] = {**json.loads(text), key: wrong}
                with contextlib.suppress(UnreadableReport):
                    Report.from_json(json.dumps(changed))

    def test_a_report_of_an_older_version_lacks_names(self) -> None:
        old = tree(good_report())
        del old["facts"]["its"]
        fact = Report.from_json(json.dumps(old)).facts["its"]
        assert (fact.state, "older pykvm" in fact.source) == ("failed", True)


class TestCommand:
    def test_json(self, capsys: pytest.CaptureFixture[str], bare: Report) -> None:
        assert main(["probe", "--json", "--selftest", "--device", "/dev/no-such-kvm"]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert next(iter(json.loads(said.out))) == "schema"
        assert Report.from_json(said.out) == bare

    @pytest.mark.parametrize("words", [[], ["probe", "--devise", "x"], ["prove"], ["probe", "x"]])
    def test_the_status_is_2_for_a_bad_command_line(self, words: list[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2


class TestReasons:
    def test_a_kernel_that_is_too_old(self) -> None:
        why, remedy = good_report(pmu_strict=NO).reason("pmu_strict")
        assert why == "Linux 7.3 brought it."
        assert remedy == "Boot that or a newer one."

    def test_hardware_that_lacks_it(self) -> None:
        report = good_report(gicv2=NO, sve=NO, sve_lengths=NO)
        assert "The host's own is a GICv3." in report.reason("gicv2").why
        assert "The CPUs have no SVE" in report.reason("sve").why
        assert report.reason("sve_lengths") == report.reason("sve")

    def test_a_call_that_is_forbidden(self) -> None:
        why, remedy = good_report(irqfd=FAILED).reason("irqfd")
        assert why.startswith("KVM_IRQFD fails: Operation not permitted [EPERM].")
        assert "seccomp" in why
        assert "Allow" in remedy

    def test_what_is_there_has_no_reason(self) -> None:
        assert good_report().reason("irqfd") == ("", "")
        with pytest.raises(KeyError):
            good_report().reason("nonsense")

    def test_every_no_has_a_reason(self) -> None:
        for name, about in ABOUT.items():
            if about.group != "host":
                assert good_report(**{name: NO}).reason(name).why
                assert good_report(**{name: Fact.failed("x", 24)}).reason(name).remedy

    def test_another_architecture(self) -> None:
        report = good_report(machine=yes("x86_64"), sve=Fact.no("the machine is no arm64"))
        assert report.reason("sve").why == "It is arm64's, and this machine is x86_64."
