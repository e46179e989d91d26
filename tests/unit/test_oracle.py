# SPDX-License-Identifier: Apache-2.0
"""What cdefs/ declares is what the kernel's headers say, and the oracle that says so can say no."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdefs import build
from pykvm._kvm import ffi, lib
from tests.lab import kernels
from tests.oracle import mutants
from tests.oracle.compare import Comparison, compare, gcc, program
from tests.oracle.errors import OracleError
from tests.oracle.facts import Fact, Kind, facts
from tests.oracle.headers import Headers, every
from tests.oracle.table import table


@pytest.fixture(scope="module")
def declared() -> list[Fact]:
    return facts(ffi, lib, build.names())


@pytest.fixture(scope="module")
def all_headers() -> list[Headers]:
    return every()


@pytest.fixture(scope="module")
def newest(all_headers: list[Headers]) -> Headers:
    return next(each for each in all_headers if each.newest and each.arch == "arm64")


@pytest.fixture(scope="module")
def results(declared: list[Fact], all_headers: list[Headers]) -> list[Comparison]:
    return [compare(declared, headers) for headers in all_headers]


def _members(struct: Any, path: str) -> Iterator[tuple[Kind, str]]:
    for name, field in struct.fields:
        member = f"{path}.{name}"
        yield Kind.OFFSET, member
        # The array at the end of a structure that the caller allocates has no size to declare.
        if field.type.kind != "array" or field.type.length is not None:
            yield Kind.WIDTH, member
        if field.type.kind == "array" and field.type.item.kind in ("struct", "union"):
            yield from _members(field.type.item, f"{member}[0]")
        if field.type.kind in ("struct", "union"):
            yield from _members(field.type, member)


def _in_the_module() -> set[tuple[Kind, str]]:
    """Looked up without the oracle's help: it must not judge what it left out itself."""
    found = set()
    for name in dir(lib):
        if isinstance(getattr(lib, name), int) and not name.startswith("PYKVM_"):
            # 0xAE is the letter of KVM's requests; no other constant has it at that place.
            is_request = getattr(lib, name) >> 8 & 0xFF == 0xAE
            found.add((Kind.REQUEST if is_request else Kind.CONSTANT, name))
    for name in ffi.list_types()[1]:
        if not name.startswith("pykvm_"):
            found.add((Kind.SIZE, f"struct {name}"))
            found |= set(_members(ffi.typeof(f"struct {name}"), name))
    return found


def test_every_declaration_is_compared(
    results: list[Comparison], declared: list[Fact], capsys: pytest.CaptureFixture[str]
) -> None:
    there = _in_the_module()
    kinds = {kind for kind, _ in there}
    compared = {
        (fact.kind, fact.name)
        for result in results
        if result.headers.newest and result.headers.arch == "arm64"
        for fact in result.compared
        if fact.kind in kinds
    }
    with capsys.disabled():
        print(f"\n{table(declared, results)}\nin the module {len(there)}, compared {len(compared)}")
    assert compared == there


def test_no_kernel_disagrees(results: list[Comparison]) -> None:
    assert [str(failure) for result in results for failure in result.failures] == []


def test_headers_are_of_the_oldest_and_the_newest_kernel(all_headers: list[Headers]) -> None:
    newest = kernels.find("newest", "4k").series
    assert [(headers.arch, "{}.{}".format(*headers.version)) for headers in all_headers] == [
        (arch, series) for series in ("6.1", newest) for arch in ("arm64", "x86_64")
    ]


def test_only_what_headers_cannot_know_is_absent(
    results: list[Comparison], declared: list[Fact]
) -> None:
    for result in results:
        assert len(result.compared) + len(result.absent) == len(declared)
        for fact in result.absent:
            foreign = fact.arm64_only and result.headers.arch != "arm64"
            younger = fact.since > result.headers.version[:2] and not result.headers.newest
            assert foreign or younger, f"{fact} was not compared with {result.headers}"


def test_this_machines_own_headers_stay_out(
    all_headers: list[Headers],
    declared: list[Fact],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux/kvm.h").write_text("#error a stranger's header\n", encoding="ascii")
    monkeypatch.setenv("CPATH", str(tmp_path))
    for headers in all_headers:
        source = program(dict(enumerate(declared[:1])), headers)
        rule = gcc(headers, source, "-M").stdout.replace("\\\n", " ")
        files = [Path(word) for word in rule.partition(":")[2].split() if word.endswith(".h")]
        assert any(file.match("linux/kvm.h") for file in files)
        for file in files:
            assert file.is_relative_to(headers.tree)


# What the oracle says of declarations that are wrong ----------------------------------------------


def _wrong_values() -> Iterator[Any]:
    last = {(name.file, name.kind): name for name in build.names()}
    for (file, kind), name in last.items():
        if kind in ("constant", "request"):
            what = Kind.REQUEST if kind == "request" else Kind.CONSTANT
            said = f"{file}: {what} {name.name} is"
            yield pytest.param(file, mutants.wrong_value(name.name), said, id=f"{file}-{kind}")


def _wrong_widths() -> Iterator[Any]:
    for file in (f"{header}.h" for header in build.HEADERS):
        text = (build.HERE / file).read_text(encoding="utf-8")
        if member := mutants.last_scalar(text):
            said = rf"{file}: member size \w+\.(\w+\.)*{member} is"
            yield pytest.param(file, mutants.wrong_width, said, id=f"{file}-width")


_MORE_MISTAKES = [
    pytest.param(
        "vm.h",
        mutants.replaced("\tint32_t fd;", "\tuint32_t fd;"),
        r"vm.h: member sign kvm_ioeventfd\.fd is unsigned here, signed in",
        id="sign",
    ),
    pytest.param(
        "vcpu.h",
        mutants.replaced("uint64_t data[16];", "uint32_t data[32];"),
        r"vcpu.h: element size kvm_run\.internal\.data is 4 bytes here, 8 bytes in",
        id="element",
    ),
    pytest.param(
        "vm.h",
        mutants.replaced("uint8_t pad[36];", "uint8_t pad[28];"),
        "vm.h: structure size struct kvm_ioeventfd is 56 bytes here, 64 bytes in",
        id="size",
    ),
    pytest.param(
        "registers.h",
        mutants.replaced(" __attribute__((aligned(16)))", ""),
        r"registers.h: member offset kvm_regs\.fp_regs is 328 bytes here, 336 bytes in",
        id="alignment",
    ),
    pytest.param(
        "ioctl.h",
        mutants.replaced("KVM_REQUEST(2u", "KVM_REQUEST(1u"),
        "vm.h: request number KVM_ARM_PREFERRED_TARGET is 0x4020aeaf here, 0x8020aeaf in",
        id="recipe",
    ),
]


@pytest.mark.parametrize(
    ("file", "edit", "said"), [*_wrong_values(), *_wrong_widths(), *_MORE_MISTAKES]
)
def test_a_mistake_is_named(
    file: str, edit: mutants.Edit, said: str, newest: Headers, tmp_path: Path
) -> None:
    folder = mutants.copied(tmp_path, {file: edit})
    mutant = facts(*mutants.compiled(folder), build.names(folder))
    failures = [str(failure) for failure in compare(mutant, newest).failures]
    assert [text for text in failures if re.match(rf"cdefs/{said}\b", text)], failures


def test_every_wrong_value_is_named(newest: Headers, tmp_path: Path) -> None:
    files = {name.file for name in build.names() if name.kind in ("constant", "request")}
    folder = mutants.copied(tmp_path, dict.fromkeys(files, mutants.wrong_values))
    mutant = facts(*mutants.compiled(folder), build.names(folder))
    wrong = {(failure.fact.kind, failure.fact.name) for failure in compare(mutant, newest).failures}
    assert wrong == {
        (kind, name) for kind, name in _in_the_module() if kind in (Kind.CONSTANT, Kind.REQUEST)
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        pytest.param(
            "caps.h",
            "#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225 /* 6.2 */",
            "#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225 /* 5.11 */",
            "constant KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP is noted as '5.11', but Linux 6.1",
            id="older than it is",
        ),
        pytest.param(
            "device.h",
            "#define KVM_VGIC_ITS_ADDR_TYPE 4 /* 4.8 arm64 */",
            "#define KVM_VGIC_ITS_ADDR_TYPE 4 /* 4.8 */",
            "constant KVM_VGIC_ITS_ADDR_TYPE is noted as '4.8', but Linux 6.1",
            id="not of arm64 alone",
        ),
        pytest.param(
            "vcpu.h",
            "struct kvm_sync_regs regs; /* 3.9 arm64 */",
            "struct kvm_sync_regs regs;",
            "member offset kvm_run.s.regs.device_irq_level is noted as '3.9', but Linux 6.1",
            id="a member of arm64 alone",
        ),
    ],
)
def test_a_wrong_note_is_named(
    file: str, old: str, new: str, said: str, all_headers: list[Headers], tmp_path: Path
) -> None:
    folder = mutants.copied(tmp_path, {file: mutants.replaced(old, new)})
    mutant = facts(ffi, lib, build.names(folder))
    failures = [str(each) for headers in all_headers for each in compare(mutant, headers).failures]
    assert [text for text in failures if text.startswith(f"cdefs/{file}: {said}")], failures


def test_nothing_may_be_absent_from_the_newest_kernel(newest: Headers, tmp_path: Path) -> None:
    old = "#define KVM_CAP_ARM_PMU_V3_STRICT 251 /* 7.3 */"
    new = "#define KVM_CAP_ARM_PMU_V4 251 /* 99.0 */"
    folder = mutants.copied(tmp_path, {"caps.h": mutants.replaced(old, new)})
    failures = compare(facts(*mutants.compiled(folder), build.names(folder)), newest).failures
    assert [failure.fact.name for failure in failures] == ["KVM_CAP_ARM_PMU_V4"]
    assert "has no such thing" in str(failures[0])


def test_a_module_that_is_older_than_cdefs_is_refused() -> None:
    names = list(build.names())
    with pytest.raises(OracleError, match=rf"{names[0].name}.*build it again"):
        facts(ffi, lib, names[1:])
    with pytest.raises(OracleError, match=r"KVM_CAP_NEW.*build it again"):
        facts(ffi, lib, [*names, names[0]._replace(name="KVM_CAP_NEW")])
