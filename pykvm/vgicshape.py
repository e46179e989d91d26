# SPDX-License-Identifier: Apache-2.0
"""Which registers make the state of a GIC, and whether a state fits the GIC that it is to go to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pykvm.vgicregs import Table, find
from pykvm.vgicstate import SCHEMA, Registers, VgicState

__all__ = [
    "check_identity",
    "check_registers",
    "check_state",
    "differs",
    "per_intid",
    "quieting",
    "writable",
]

#: They say what a GIC is; the kernel has no way to make it something else, or ignores it.
IDENTITY = ("GICD_TYPER", "GICD_TYPER2", "GICR_TYPER", "GITS_TYPER")
#: The revision in GICD_IIDR, which restoring chooses; the rest is identity.
IIDR_REVISION = 0xF000


def per_intid(table: Table, families: Sequence[str], first: int, end: int) -> Iterator[str]:
    """The registers of these families for the INTIDs from ``first`` to ``end``."""
    for family in families:
        bits = table[family].bits
        per_register = max(32 // bits, 1)
        yield from (f"{family}{n}" for n in range(first // per_register, end // per_register))


def quieting(registers: Registers) -> Iterator[str]:
    """The registers by which interrupts are disabled and deactivated: what is set only adds."""
    for name, _ in registers:
        for what in ("ISENABLER", "ISACTIVER"):
            if what in name:
                yield name.replace(what, what.replace("IS", "IC"))


def writable(registers: Registers) -> Iterator[tuple[str, int]]:
    return ((name, value) for name, value in registers if name not in IDENTITY)


def differs(what: str, there: object, here: object) -> ValueError:
    return ValueError(f"this state is of another GIC: {what} is {there} in it, and {here} here")


def check_state(state: VgicState, version: int, nr_irqs: int, setup: Registers) -> None:
    """ValueError where the state is of another kind of GIC, or of one that lies elsewhere."""
    if not isinstance(state, VgicState):
        raise TypeError(f"state must be a VgicState, not {type(state).__name__}")
    if state.schema != SCHEMA:
        raise ValueError(f"state has the schema {state.schema!r}; here, {SCHEMA} is known")
    if state.version != version:
        raise differs("the version", state.version, version)
    if state.nr_irqs != nr_irqs:
        raise differs("nr_irqs", state.nr_irqs, nr_irqs)
    there, here = dict(state.setup), dict(setup)
    for name in {**there, **here}:
        if name == "maint_irq" and not (name in there and name in here):
            continue  # one of the kernels has no such attribute
        if (one := there.get(name)) != (other := here.get(name)):
            raise differs(name, *("unset" if gpa is None else hex(gpa) for gpa in (one, other)))


def check_registers(what: str, table: Table, registers: Registers, names: Iterable[str]) -> None:
    """ValueError where these are not the registers ``names``, or hold what does not fit."""
    there, expected = [name for name, _ in registers], list(names)
    if there != expected:
        wrong = sorted(set(there) ^ set(expected)) or ["their order"]
        raise ValueError(f"{what} in this state is not what it should be: {', '.join(wrong[:5])}")
    for name, value in registers:
        size = find(table, name)[2]
        if not 0 <= value < 1 << 8 * size:
            raise ValueError(f"{name} is {value:#x} in this state, which {8 * size} bits cannot be")


def check_identity(there: Registers, here: Iterable[tuple[str, int]]) -> None:
    """ValueError where what a register says about the GIC itself is not so here."""
    found = dict(there)
    for name, value in here:
        mask = ~IIDR_REVISION if name == "GICD_IIDR" else -1
        if (found[name] ^ value) & mask:
            raise differs(name, hex(found[name]), hex(value))
