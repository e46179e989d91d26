# SPDX-License-Identifier: Apache-2.0
"""Saving and restoring an ITS: its registers here, what it maps in guest memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pykvm._vgicaccess import UNSET
from pykvm.vgicregs import ITS
from pykvm.vgicshape import check_identity, check_registers, differs, writable
from pykvm.vgicstate import ItsState

if TYPE_CHECKING:
    from pykvm.its import VgicIts

__all__ = ["check_its", "restore_its", "save_its", "sorted_its"]

#: GITS_CBASER before the others, since it resets the place in the queue; GITS_CTLR, which switches
#: the ITS on, last, when the tables are there.
_REGISTERS = [
    "GITS_TYPER", "GITS_IIDR", "GITS_CBASER", "GITS_CREADR", "GITS_CWRITER",
    *(f"GITS_BASER{n}" for n in range(8)), "GITS_CTLR",
]  # fmt: skip


def sorted_its(its: Iterable[VgicIts]) -> list[VgicIts]:
    """The ITSs in the order of their addresses; ValueError where one has none."""
    try:
        frames = [(frame.addr, frame) for frame in its]
    except (AttributeError, TypeError):
        raise TypeError("its must be several VgicIts") from None
    if any(addr == UNSET for addr, _ in frames):
        raise ValueError("its has an ITS without an address: set its addr first")
    return [frame for _, frame in sorted(frames, key=lambda pair: pair[0])]


def save_its(its: VgicIts) -> ItsState:
    """The state of an ITS; what it maps goes to guest memory."""
    its.save_tables()
    return ItsState(its.addr, tuple((name, its.get_its_reg(name)) for name in _REGISTERS))


def restore_its(its: VgicIts, state: ItsState) -> None:
    """Makes an ITS that was reset what it was."""
    *before, (last, ctlr) = writable(state.registers)
    for name, value in before:
        # A table that is 0 was never given, and writing that would make it something.
        if "BASER" not in name or value != its.get_its_reg(name):
            its.set_its_reg(name, value)
    its.restore_tables()
    its.set_its_reg(last, ctlr)


def check_its(states: Sequence[ItsState], frames: Sequence[VgicIts]) -> None:
    """ValueError where these are not the ITSs that the state is of."""
    there, here = [hex(state.addr) for state in states], [hex(frame.addr) for frame in frames]
    if there != here:
        raise differs("the list of ITSs", there, here)
    for state, frame in zip(states, frames, strict=True):
        check_registers(f"the ITS at {state.addr:#x}", ITS, state.registers, _REGISTERS)
        check_identity(state.registers, [("GITS_TYPER", frame.get_its_reg("GITS_TYPER"))])
