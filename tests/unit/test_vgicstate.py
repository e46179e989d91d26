# SPDX-License-Identifier: Apache-2.0
"""Names of GIC registers, and states of GICs as values, as far as they go without a GIC."""

from __future__ import annotations

import pickle

import pytest

from pykvm import ItsState, VgicCpuState, VgicState
from pykvm.vgicregs import ICC, ITS, REDIST, V2_CPU, V2_DIST, V3_DIST, Table, fields, find

STATE = VgicState(
    1, 3, 64, (("dist_addr", 0x8000000),),
    (("GICD_CTLR", 2), ("GICD_IROUTER40", 1), ("GICD_ICFGR2", 2), ("GICD_ISPENDR1", 1 << 8)),
    (VgicCpuState(0x101, (("GICR_TYPER", 17 << 8),), (("ICC_PMR_EL1", 0xF0),), 1 << 20),),
    (1 << 9,), (ItsState(0x8080000, (("GITS_CTLR", 1),)),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("table", "name", "offset", "size"),
    [
        (V2_DIST, "GICD_ISENABLER1", 0x104, 4),
        (V3_DIST, "gicd_ipriorityr10", 0x428, 4),
        (V3_DIST, "GICD_IROUTER40", 0x6140, 8),
        (V3_DIST, "GICD_TYPER2", 0xC, 4),
        (V3_DIST, "GICD_PIDR2", 0xFFE8, 4),
        (V2_DIST, "GICD_SPENDSGIR3", 0xF2C, 4),
        (V2_CPU, "GICC_APR3", 0xDC, 4),
        (REDIST, "GICR_PENDBASER", 0x78, 8),
        (REDIST, "GICR_ICFGR1", 0x10C04, 4),
        (REDIST, "GICR_IPRIORITYR7", 0x1041C, 4),
        (ICC, "ICC_PMR_EL1", 0xC230, 8),
        (ICC, "ICH_LR15_EL2", 0xE66F, 8),
        (ITS, "GITS_BASER7", 0x138, 8),
        (ITS, "GITS_PIDR2", 0xFFE8, 4),
    ],
)
def test_registers_by_name(table: Table, name: str, offset: int, size: int) -> None:
    assert find(table, name) == (name.upper(), offset, size)


def test_a_number_is_an_offset() -> None:
    assert find(V2_DIST, 0x104) == ("0x104", 0x104, 4)
    assert find(ITS, 0x80, width=8) == ("0x80", 0x80, 8)


@pytest.mark.parametrize("name", ["GICD_IGROUPR", "GICD_IGROUPR32", "GICD_CTLR0", "GICC_PMR", ""])
def test_a_name_that_is_none_is_answered_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"GICD_CTLR.*GICD_IGROUPR<0-31>"):
        find(V2_DIST, name)


def test_tables_hold_no_register_twice() -> None:
    for table in (V2_DIST, V3_DIST, REDIST, V2_CPU, ICC, ITS):
        places = [
            register.offset + register.size * number
            for register in table.values()
            for number in range(max(register.length, 1))
        ]
        assert len(places) == len(set(places))


def test_fields() -> None:
    assert list(fields(V3_DIST, "GICD_CTLR", 2)) == []
    pending = [intid for _, intid, bit in fields(V3_DIST, "GICD_ISPENDR1", 1 << 8 | 1) if bit]
    assert pending == [32, 40]
    assert list(fields(V3_DIST, "GICD_IPRIORITYR10", 0x40302010))[1] == (
        "GICD_IPRIORITYR",
        41,
        0x20,
    )
    assert list(fields(V3_DIST, "GICD_IROUTER40", 5)) == [("GICD_IROUTER", 40, 5)]


def test_a_state_survives_json_and_pickle() -> None:
    assert VgicState.from_json(STATE.to_json()) == STATE
    assert pickle.loads(pickle.dumps(STATE)) == STATE  # noqa: S301 - our own
    assert hash(STATE) == hash(VgicState.from_json(STATE.to_json()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Expecting"),
        ("[]", "schema is None"),
        ("{}", "schema is None"),
        (STATE._replace(schema=2).to_json(), "schema is 2"),
        ('{"schema": 1}', "setup"),
        (STATE.to_json().replace("[512]", "[-1]"), "value is -0x1"),
        (STATE.to_json().replace("[512]", '["512"]'), "value must be an int"),
        (STATE.to_json().replace('"levels": [512]', '"levels": 512'), "not iterable"),
        (STATE.to_json().replace("}}]}", '}}], "more": 1}'), "more"),
    ],
)
def test_what_is_no_state_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VgicState.from_json(text)


def test_lines_of_a_gicv3() -> None:
    assert STATE.lines_up() == [(20, 17), (41, None)]


def test_lines_of_a_gicv2_are_what_is_pending_and_level_triggered() -> None:
    private = (("GICD_ICFGR0", 2**32 - 1), ("GICD_ICFGR1", 0), ("GICD_ISPENDR0", 1 << 20 | 1 << 3))
    shared = (("GICD_ICFGR2", 2 << 16), ("GICD_ISPENDR1", 1 << 8 | 1 << 9))
    state = STATE._replace(
        version=2, distributor=shared, levels=(), cpus=(VgicCpuState(1, private, (), None),)
    )
    assert state.lines_up() == [(20, 1), (41, None)]


def test_what_differs_is_told_by_interrupt() -> None:
    distributor = (
        ("GICD_CTLR", 0), ("GICD_IROUTER40", 0x101), ("GICD_ICFGR2", 0), ("GICD_ISPENDR1", 1 << 7),
    )  # fmt: skip
    cpu = STATE.cpus[0]._replace(levels=0)
    other = STATE._replace(distributor=distributor, cpus=(cpu,), levels=(0,), its=())
    assert STATE.diff(STATE) == []
    assert STATE.diff(other) == [
        "GICD_CTLR 0x2 -> 0x0",
        "intid 40: route 0x1 -> 0x101",
        "intid 32: trigger edge -> level",
        "intid 39: pending False -> True",
        "intid 40: pending True -> False",
        "intid 41: line True -> False",
        "cpu 0x101: intid 20: line True -> False",
        "its 0x8080000: GITS_CTLR 0x1 -> absent",
    ]
