# SPDX-License-Identifier: Apache-2.0
"""Requirements on a host, and what differs between two."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykvm.cli import main
from pykvm.probe import Fact, Report
from pykvm.probe.diff import Difference, differences
from pykvm.probe.idregs import decode
from pykvm.probe.require import Requirement, RequirementError, known_names
from pykvm.registers import reg_id
from tests.unit.reports import FAILED, NO, good_report, yes

REPORT = good_report(
    sve=NO, mte=NO, irqfd=FAILED, vcpus=yes(512), ipa_sizes=yes((32, 40)), container=yes("docker")
)


#: Machines that are busy with something else are no reason to fail.
_PATIENT = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def met(text: str, report: Report = REPORT) -> bool:
    return not Requirement.parse(text).unmet(report)


@pytest.mark.parametrize(
    "text",
    [
        "gicv3", " gicv3 ", "GICV3", "gicv3 and its", "sve or its", "not sve", "not not its",
        "not (sve and its)", "not (sve or mte)", "ipa_bits >= 44", "ipa_bits==48", "44<=ipa_bits",
        "ipa_bits > 0x20", "vcpus != 8", "sve == 0", "sve < 1", "not ipa_bits < 48", "its >= 1",
        "ipa_sizes >= 40", "((gicv3))", "gicv3 or sve and mte", "not sve and its",
        "id_aa64pfr0_el1.SVE >= 1", "id_aa64isar0_el1.atomic == 2", "not id_aa64isar0_el1.aes",
    ],
)  # fmt: skip
def test_met(text: str) -> None:
    assert met(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sve", "sve is not there: The CPUs have no SVE"),
        ("gicv3 and sve and mte", "sve is not there"),
        ("not gicv3", "gicv3 is there."),
        ("ipa_bits >= 52", "ipa_bits is 48, not >= 52."),
        ("not ipa_bits >= 44", "ipa_bits is 48, not not >= 44."),
        ("52 <= ipa_bits", "ipa_bits is 48, not >= 52."),
        ("sve >= 1", "sve is not there"),
        ("sve or mte", "mte is not there"),
        ("not (gicv3 or sve)", "gicv3 is there."),
        ("irqfd", "irqfd cannot be asked: KVM_IRQFD fails"),
        ("not irqfd", "irqfd cannot be asked"),
        ("irqfd == 0", "irqfd cannot be asked"),
        ("container > 1", "container is 'docker', which is no number."),
        ("KVM_CAP_IRQFD", "KVM_CAP_IRQFD"),
        ("id_aa64mmfr0_el1.PARange >= 5", "id_aa64mmfr0_el1.PARange is not there"),
    ],
)
def test_not_met(text: str, words: str) -> None:
    reasons = " ".join(Requirement.parse(text).unmet(REPORT))
    assert words in reasons
    assert "\n" not in reasons


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gicv33", "did you mean gicv3"),
        ("irqfd_resampel", "did you mean irqfd_resample"),
        ("KVM_CAP_IRQFDD", "did you mean KVM_CAP_IRQFD"),
        ("id_aa64pfr0_el1.SVVE", "did you mean id_aa64pfr0_el1.SVE"),
        ("zzzzqqqq", "--verbose shows all names"),
        ("", "a name or a number is missing"),
        ("gicv3 and", "at the end: a name or a number is missing"),
        ("and gicv3", "at 'and gicv3': a name or a number is missing"),
        ("(gicv3", "a ) is missing"),
        ("gicv3)", "more than one expression"),
        ("gicv3 its", "more than one expression"),
        ("gicv3, its", "at ', its': this sign has no meaning here"),
        ("gicv3 = 1", "this sign has no meaning here"),
        ("gicv3 && its", "this sign has no meaning here"),
        ("5", "5 is to be compared with a name"),
        ("5 > 4", "a name on one side and a number on the other"),
        ("its > sve", "a name on one side and a number on the other"),
        ("its > 1 > 0", "more than one expression"),
        ("not", "a name or a number is missing"),
        ("__import__('os')", "there is no fact '__import__'"),
        ("(" * 60 + "its" + ")" * 60, "nested too deeply"),
    ],
)
def test_what_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(RequirementError) as wrong:
        Requirement.parse(text)
    assert words in str(wrong.value)


@_PATIENT
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        Requirement.parse(text).unmet(REPORT)
    except RequirementError as wrong:
        assert str(wrong)  # noqa: PT017


_NAMES = st.sampled_from(("gicv3", "sve", "mte", "its"))
_TREES = st.recursive(
    _NAMES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(("and", "or")), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda text: f"not {text}"),
    ),
    max_leaves=12,
)


@_PATIENT
@given(_TREES)
def test_it_means_what_python_means(text: str) -> None:
    values = {"gicv3": True, "its": True, "sve": False, "mte": False}
    assert met(text) == eval(text, {}, values)  # noqa: S307 - made of four names above


def test_names_are_told_apart() -> None:
    names = list(known_names())
    assert len({name.lower() for name in names}) == len(names)
    assert Requirement.parse("its and ipa_bits > 1").names == {"its", "ipa_bits"}


class TestCommand:
    def test_met(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["probe", "--require", "page_size >= 4096"]) == 0
        assert capsys.readouterr().out == "met: page_size >= 4096\n"

    def test_not_met_without_kvm(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["probe", "--device", "/dev/no-kvm", "--require", "kvm and gicv3"]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("pykvm: not met: kvm: There is no /dev/no-kvm")
        assert said.err.count("\n") == 1

    def test_a_typo(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["probe", "--require", "girqfd"]) == 2
        assert "did you mean irqfd" in capsys.readouterr().err

    def test_json_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["probe", "--device", "/dev/no-kvm", "--json", "--require", "kvm"]
        assert main(words) == 1
        assert Report.from_json(capsys.readouterr().out).facts["kvm"].state == "failed"

    def test_exports(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        svg, html = tmp_path / "a.svg", tmp_path / "a.html"
        assert main(["probe", "--device", "/x", "--svg", str(svg), "--html", str(html)]) == 0
        assert ET.parse(svg).getroot().tag.endswith("svg")  # noqa: S314 - our own
        assert "http" not in svg.read_text("utf-8").replace("http://www.w3.org/", "").replace(
            " Rich https:", ""
        )
        assert "No VMs here." in html.read_text("utf-8")
        assert "No VMs here." in capsys.readouterr().out

    @pytest.mark.parametrize("option", ["--svg", "--html"])
    def test_an_export_that_cannot_be(
        self, option: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["probe", "--device", "/x", option, "/dev/null/x"]) == 2
        assert "/dev/null/x cannot be written: Not a directory" in capsys.readouterr().err

    def test_whoever_reads_may_stop(self) -> None:
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} -m pykvm probe --verbose | head -1; exit 0"],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        assert done.stderr == ""

    @pytest.mark.parametrize(
        ("environment", "words", "coloured"),
        [({}, [], False), ({"FORCE_COLOR": "1"}, [], True),
         ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False)],
    )  # fmt: skip
    def test_plain_where_it_is_piped(
        self, environment: dict[str, str], words: list[str], coloured: bool
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pykvm", "probe", "--device", "/x", *words],
            capture_output=True, text=True, timeout=300, check=True,
            env={**os.environ, "COLUMNS": "80", **environment},
        )  # fmt: skip
        assert ("\x1b[3" in done.stdout) == coloured
        assert "No VMs here." in done.stdout

    def test_a_terminal_of_ascii(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pykvm", "probe", "--device", "/dev/käse"],
            capture_output=True, timeout=300, check=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )  # fmt: skip
        assert b"/dev/k\\xe4se" in done.stdout
        done.stdout.decode("ascii")


class TestDiff:
    def test_nothing(self) -> None:
        assert differences(REPORT, REPORT) == ()

    def test_facts_that_guests_see(self) -> None:
        other = good_report(
            sve=NO, mte=yes(), irqfd=FAILED, vcpus=yes(8), kernel=yes("7.3"), container=NO
        )
        found = {each.what: (each.here, each.there) for each in differences(REPORT, other)}
        assert found == {"mte": ("no", "yes"), "vcpus": ("512", "8")}
        more = {each.what for each in differences(REPORT, other, everything=True)}
        assert more == {"mte", "vcpus", "ipa_sizes", "kernel", "container"}

    def test_what_depends_on_something_missing_is_no_difference_of_its_own(self) -> None:
        one, other = good_report(), good_report(sve=NO, sve_lengths=NO)
        assert [each.what for each in differences(one, other)] == ["sve"]

    def test_capabilities(self) -> None:
        one = good_report()
        other = dataclasses.replace(one, capabilities=one.capabilities[1:])
        assert differences(one, other) == ()
        difference = Difference("KVM_CAP_N32", "1", "0")
        assert differences(one, other, everything=True) == (difference,)

    @pytest.mark.parametrize(
        ("value", "writable", "expected"),
        [
            (0x30_0000, 0, Difference("F", "2 FEAT_LSE", "3 FEAT_LSE128")),
            (0x30_0000, 0xF << 20, Difference("F", "2 FEAT_LSE", "3 FEAT_LSE128", True)),
            (0, 0xF << 20, Difference("F", "2 FEAT_LSE", "0 none")),
        ],
    )
    def test_fields(self, value: int, writable: int, expected: Difference) -> None:
        """What the second host has more of can be hidden, if its bits are writable."""
        one = good_report()
        changed = decode(reg_id("id_aa64isar0_el1"), value, writable)
        other = dataclasses.replace(one, registers=(one.registers[0], changed))
        what = "id_aa64isar0_el1.Atomic"
        assert differences(one, other) == (dataclasses.replace(expected, what=what),)

    def test_registers_of_one_host_alone(self) -> None:
        one = good_report()
        other = dataclasses.replace(one, registers=one.registers[:1])
        assert differences(one, other) == (Difference("id_aa64isar0_el1", "0x200000", "not there"),)

    def test_bits_without_a_name(self) -> None:
        one = good_report()
        changed = decode(one.registers[1].id, one.registers[1].value | 1, None)
        other = dataclasses.replace(one, registers=(one.registers[0], changed))
        assert differences(one, other) == (Difference("id_aa64isar0_el1", "0x200000", "0x200001"),)

    def files(self, folder: Path, *reports: Report) -> list[str]:
        places = [folder / f"{number}.json" for number in range(len(reports))]
        for place, report in zip(places, reports, strict=True):
            place.write_text(report.to_json(), "utf-8")
        return [str(place) for place in places]

    def test_the_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one, other = self.files(tmp_path, REPORT, good_report(mte=NO, irqfd=FAILED))
        assert main(["diff", one, one]) == 0
        assert capsys.readouterr().out == "No guest would notice a difference.\n"
        assert main(["diff", one, other]) == 1
        said = capsys.readouterr().out
        assert "sve" in said
        assert "0.json" in said
        assert main(["diff", "--json", one, other]) == 1
        found = json.loads(capsys.readouterr().out)
        assert {"what": "sve", "here": "no", "there": "yes", "hidden": False} in found

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (b"{", "this is no JSON"),
            (b'{"schema": 9}', "its schema is 9, not 1; a newer pykvm made it"),
            (b'{"a": 1}', "this JSON is no report of pykvm probe"),
            (b"\xff\xfe", "cannot be read"),
            (None, "cannot be read: No such file or directory"),
        ],
    )
    def test_what_cannot_be_read(
        self, text: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (good,) = self.files(tmp_path, REPORT)
        bad = tmp_path / "bad.json"
        if text is not None:
            bad.write_bytes(text)
        for pair in ((str(bad), good), (good, str(bad))):
            assert main(["diff", *pair]) == 2
            said = capsys.readouterr().err
            assert said.startswith(f"pykvm: {bad}")
            assert words in said
            assert said.count("\n") == 1

    def test_a_report_from_elsewhere_has_what_it_likes(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        odd = good_report(vcpus=yes("huge"), block_sizes=yes(5), psci_versions=yes((1, 2)))
        odd = dataclasses.replace(odd, facts={**odd.facts, "new_fact": Fact.of("x", "y")})
        assert main(["diff", *self.files(tmp_path, REPORT, odd)]) == 1
        assert "huge" in capsys.readouterr().out
