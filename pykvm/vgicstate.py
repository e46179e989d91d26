# SPDX-License-Identifier: Apache-2.0
"""The state of a whole GIC as a plain value: to keep, to send, to compare.

Made by :meth:`VgicV2.save` and :meth:`VgicV3.save`. It is made of ints and strings alone, so that
it can be pickled, sent as JSON, and compared with ``==``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pykvm._descriptor import check_int
from pykvm.vgicregs import ICC, ITS, REDIST, V2_CPU, V2_DIST, V3_DIST, Table, fields

__all__ = ["SCHEMA", "ItsState", "VgicCpuState", "VgicState"]

#: Grows when the form changes in a way that older readers would misunderstand.
SCHEMA = 1

#: Names and values, in the order in which they are written back.
Registers = tuple[tuple[str, int], ...]


class ItsState(NamedTuple):
    """An ITS: where it lies, and its registers. What it maps is in guest memory."""

    addr: int
    registers: Registers


class VgicCpuState(NamedTuple):
    """What a GIC keeps for one CPU.

    ``cpu``: its number, or the affinities of its MPIDR_EL1 on a GICv3. ``private``: its bank of the
    distributor, or its redistributor. ``interface``: its CPU interface. ``levels``: which of its
    lines are up, bit n for INTID n; None on a GICv2.
    """

    cpu: int
    private: Registers
    interface: Registers
    levels: int | None


class VgicState(NamedTuple):
    """A GIC, with its ITSs.

    ``schema``: of this form. ``version``: 2 or 3. ``nr_irqs``: as of the GIC. ``setup``: where its
    frames lie. ``levels``: which lines of SPIs are up, 32 bits for each 32 of them; empty on a
    GICv2, which does not tell.
    """

    schema: int
    version: int
    nr_irqs: int
    setup: Registers
    distributor: Registers
    cpus: tuple[VgicCpuState, ...]
    levels: tuple[int, ...]
    its: tuple[ItsState, ...]

    def to_json(self) -> str:
        """One line of JSON; registers by name."""
        import json  # not at the start: most programs never need it

        plain = self._asdict()
        plain["setup"], plain["distributor"] = dict(self.setup), dict(self.distributor)
        plain["cpus"] = [
            {**cpu._asdict(), "private": dict(cpu.private), "interface": dict(cpu.interface)}
            for cpu in self.cpus
        ]
        plain["its"] = [{"addr": its.addr, "registers": dict(its.registers)} for its in self.its]
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> VgicState:
        """What :meth:`to_json` made of a state. ValueError for anything else."""
        import json

        plain = json.loads(text)
        schema = plain.get("schema") if isinstance(plain, dict) else None
        if schema != SCHEMA:
            raise ValueError(f"no state of a GIC in the form {SCHEMA}: its schema is {schema!r}")
        try:
            plain["setup"] = _registers(plain["setup"])
            plain["distributor"] = _registers(plain["distributor"])
            plain["cpus"] = tuple(
                VgicCpuState(
                    _number(cpu["cpu"]), _registers(cpu["private"]), _registers(cpu["interface"]),
                    None if cpu["levels"] is None else _number(cpu["levels"]),
                )
                for cpu in plain["cpus"]
            )  # fmt: skip
            plain["levels"] = tuple(_number(level) for level in plain["levels"])
            plain["its"] = tuple(
                ItsState(_number(its["addr"]), _registers(its["registers"])) for its in plain["its"]
            )
            plain["version"], plain["nr_irqs"] = map(_number, (plain["version"], plain["nr_irqs"]))
            return cls(**plain)
        except (AttributeError, KeyError, TypeError) as cause:
            raise ValueError(f"no state of a GIC: {cause!r}") from None

    def lines_up(self) -> list[tuple[int, int | None]]:
        """The lines that are up, as (intid, vcpu_id): vcpu_id is None for an SPI.

        A GICv2 does not tell: then these are the level-triggered interrupts that are pending, which
        a guest's own store can also have made. Keep those that your devices hold up, and the
        timers' (27 and 30).
        """
        return list(_lines_v2(self) if self.version == 2 else _lines_v3(self))

    def diff(self, other: VgicState) -> list[str]:
        """What differs, a line each: ``intid 40: pending False -> True``. ``other`` is later."""
        before, after = dict(_facts(self)), dict(_facts(other))
        return [
            f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        ]


def _number(value: object) -> int:
    return check_int("value", value, 0, 2**64 - 1)


def _registers(plain: dict[str, int]) -> Registers:
    return tuple((name, _number(value)) for name, value in plain.items())


def _bits(value: int, first: int) -> Iterator[int]:
    return (first + bit for bit in range(32) if value >> bit & 1)


def _lines_v3(state: VgicState) -> Iterator[tuple[int, int | None]]:
    for cpu in state.cpus:
        vcpu_id = dict(cpu.private)["GICR_TYPER"] >> 8 & 0xFFFF
        yield from ((intid, vcpu_id) for intid in _bits(cpu.levels or 0, 0))
    for number, level in enumerate(state.levels, start=1):
        yield from ((intid, None) for intid in _bits(level, 32 * number))


def _lines_v2(state: VgicState) -> Iterator[tuple[int, int | None]]:
    for cpu in state.cpus:
        yield from ((intid, cpu.cpu) for intid in _pending_levels(cpu.private))
    yield from ((intid, None) for intid in _pending_levels(state.distributor))


def _pending_levels(registers: Registers) -> Iterator[int]:
    told = {
        (family, intid): value
        for name, register in registers
        for family, intid, value in fields(V2_DIST, name, register)
    }
    for (family, intid), pending in told.items():
        is_edge = told.get(("GICD_ICFGR", intid), 0) & 2
        if family == "GICD_ISPENDR" and pending and intid >= 16 and not is_edge:
            yield intid


#: What a family of registers says about an INTID, and how that is shown.
_WORDS: dict[str, tuple[str, Any]] = {
    "IGROUPR": ("group", int),
    "IPRIORITYR": ("priority", hex),
    "ITARGETSR": ("targets", hex),
    "IROUTER": ("route", hex),
    "ICFGR": ("trigger", lambda field: "edge" if field & 2 else "level"),
    "ISENABLER": ("enabled", bool),
    "ISPENDR": ("pending", bool),
    "ISACTIVER": ("active", bool),
    "SPENDSGIR": ("pending from CPUs", hex),
}


def _facts(state: VgicState) -> Iterator[tuple[str, object]]:
    """All that a state says, by what a person calls it."""
    dist, private, interface = (
        (V2_DIST, V2_DIST, V2_CPU) if state.version == 2 else (V3_DIST, REDIST, ICC)
    )
    yield from (("version", state.version), ("nr_irqs", state.nr_irqs))
    yield from ((name, hex(value)) for name, value in state.setup)
    yield from _told("", dist, state.distributor)
    for number, level in enumerate(state.levels, start=1):
        yield from _lines("", 32 * number, level)
    for cpu in state.cpus:
        where = f"cpu {cpu.cpu:#x}: "
        yield from _told(where, private, cpu.private)
        yield from _lines(where, 0, cpu.levels or 0)
        yield from _told(where, interface, cpu.interface)
    for its in state.its:
        yield from _told(f"its {its.addr:#x}: ", ITS, its.registers)


def _lines(where: str, first: int, level: int) -> Iterator[tuple[str, object]]:
    for bit in range(32):
        yield f"{where}intid {first + bit}: line", bool(level >> bit & 1)


def _told(where: str, table: Table, registers: Registers) -> Iterator[tuple[str, object]]:
    for name, value in registers:
        told = list(fields(table, name, value))
        for family, intid, field in told:
            word, shown = _WORDS[family.partition("_")[2]]
            yield f"{where}intid {intid}: {word}", shown(field)
        if not told:
            yield f"{where}{name}", hex(value)
