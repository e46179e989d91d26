# SPDX-License-Identifier: Apache-2.0
"""The table of the interface: it has every name there is, and cannot be filled by chance."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import pytest

import pykvm
from cdefs import build
from pykvm._kvm import lib
from tests.coverage import collect, match, render
from tests.coverage.collect import Proof
from tests.coverage.methods import method_of
from tests.coverage.rows import ROWS, SECTIONS
from tests.coverage.trace import SYSTEM, VCPU, VM, Call
from tests.lab.shapes import ALL_SHAPES, Shape

IOCTLS = {row.name for row in ROWS.values() if row.section in ("system", "vm", "vcpu", "device")}


def _constants(prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in dir(lib) if name.startswith(prefix)}


def _named(section: str) -> set[str]:
    return {row.name for row in ROWS.values() if row.section == section}


def test_every_declared_request_has_a_row() -> None:
    requests = {name.name for name in build.names() if name.kind == "request"}
    assert requests == IOCTLS


def test_every_exit_event_family_and_capability_has_a_row() -> None:
    assert _constants("KVM_EXIT_") - {"ARM_SEA_FLAG_GPA_VALID"} == _named("exit")
    assert _constants("KVM_SYSTEM_EVENT_") - {"RESET_FLAG_PSCI_RESET2"} >= _named("event")
    assert {cap.name for cap in pykvm.Cap} == _named("cap")
    assert _named("enable") <= _named("cap")


def test_rows_are_as_many_as_the_kernel_has() -> None:
    counts = {section: len(_named(section)) for section in SECTIONS}
    assert counts == {
        "system": 4, "vm": 27, "vcpu": 16, "device": 3, "enable": 10, "attr": 38, "reg": 6,
        "exit": 13, "event": 5, "cap": 70,
    }  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_every_row_knows_its_calls_and_its_method(row: str) -> None:
    assert match.pattern(row).kinds
    for method in method_of(ROWS[row]).split(", "):
        thing: object = pykvm
        for name in method.split("."):
            thing = inspect.getattr_static(thing, name)
        assert inspect.getdoc(thing)


def _proves(row: str, *calls: Call, refused: str = "") -> bool:
    return match.proven(row, refused, calls)


def test_a_call_proves_its_row_and_no_other() -> None:
    cap = Call(SYSTEM, lib.KVM_CHECK_EXTENSION, int(pykvm.Cap.IRQFD), 1)
    assert _proves("cap IRQFD", cap)
    assert _proves("system KVM_CHECK_EXTENSION", cap)
    assert not _proves("vm KVM_CHECK_EXTENSION", cap)
    assert not _proves("cap IRQFD_RESAMPLE", cap)
    assert not _proves("cap IRQFD", cap._replace(outcome=0)), "a no proves nothing"
    assert not _proves("cap IRQFD", cap._replace(outcome=-22))


def test_a_refusal_proves_a_row_only_where_it_is_marked() -> None:
    refused = Call(VM, lib.KVM_CREATE_DEVICE, lib.KVM_DEV_TYPE_ARM_VGIC_V5, -19)
    assert _proves("attr VGIC_V5 CTRL INIT", refused, refused="ENODEV")
    assert not _proves("attr VGIC_V5 CTRL INIT", refused)
    assert not _proves("attr VGIC_V5 CTRL INIT", refused, refused="EBUSY")
    assert not _proves("attr VGIC_V5 CTRL INIT", refused._replace(key=7), refused="ENODEV")


def test_an_exit_counts_with_all_its_kinds() -> None:
    off = lib.KVM_EXIT_SYSTEM_EVENT | lib.KVM_SYSTEM_EVENT_SHUTDOWN << 32
    seen = Call(VCPU, lib.KVM_RUN, off, 0)
    assert _proves("exit SYSTEM_EVENT", seen)
    assert _proves("event SHUTDOWN", seen)
    assert not _proves("event RESET", seen)
    assert not _proves("exit MMIO", seen)


def _coverage(rows: Iterable[str], shape: Shape) -> collect.Coverage:
    return collect.gather([(shape, {"tests/arm64/test_a.py::test_b[c]": rows})])


def test_what_no_test_proves_is_named() -> None:
    coverage = _coverage([row for row in ROWS if row != "exit MMIO"], ALL_SHAPES[0])
    assert collect.gaps(coverage) == ["exit MMIO"]
    assert "**none**" in render.block(coverage)
    assert f"{len(ROWS) - 1} of {len(ROWS)} rows" in render.block(coverage)


def test_the_table_shows_test_kernel_and_hosts() -> None:
    told = [(shape, {"tests/arm64/test_a.py::test_b[c]": ["exit MMIO"]}) for shape in ALL_SHAPES]
    [line] = [line for line in render.block(collect.gather(told)).splitlines() if "`MMIO`" in line]
    assert "[test_b](tests/arm64/test_a.py)" in line
    assert "| 6.1 | " in line
    letters = "".join(chr(ord("A") + number) for number in range(len(ALL_SHAPES)))
    assert f"| {letters} |" in line


def test_the_table_is_put_between_its_marks() -> None:
    coverage = _coverage(ROWS, ALL_SHAPES[0])
    before = f"head\n{render.BEGIN}\nyesterday\n{render.END}\ntail\n"
    after = render.replaced(before, coverage)
    assert after.startswith("head\n")
    assert after.endswith("\ntail\n")
    assert "yesterday" not in after
    assert render.replaced(after, coverage) == after
    with pytest.raises(ValueError, match="lacks the lines"):
        render.replaced("no marks", coverage)


def test_hosts_have_names_of_their_own() -> None:
    names = [collect.host_name(shape) for shape in ALL_SHAPES]
    assert len(set(names)) == len(names)
    assert collect.gather([(ALL_SHAPES[0], {})])["exit MMIO"] == ()
    assert Proof("t", ("h",)).hosts == ("h",)
