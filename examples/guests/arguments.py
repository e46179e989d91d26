# SPDX-License-Identifier: Apache-2.0
"""What each guest expects in its registers at the start: one function per guest, named like it.

Each returns the registers to set, by name, on a vCPU fresh from KVM_ARM_VCPU_INIT (with the feature
PSCI_0_2). The header of ``<guest>.S`` says what the guest does with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from guests import layout

Trigger = Literal["edge", "level"]
WaitFor = Literal["none", "host", "interrupt"]
Action = Literal["report", "system_off", "system_reset", "cpu_on"]
Fault = Literal["brk", "undefined", "data_abort", "instruction_abort"]

DOORBELL_WIDTHS: Final = (1, 2, 4, 8)
_WAITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "none": layout.WAIT_NONE,
        "host": layout.WAIT_HOST,
        "interrupt": layout.WAIT_INTERRUPT,
    }
)
_ACTIONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "report": layout.ACTION_REPORT,
        "system_off": layout.ACTION_SYSTEM_OFF,
        "system_reset": layout.ACTION_SYSTEM_RESET,
        "cpu_on": layout.ACTION_CPU_ON,
    }
)
_FAULTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "brk": layout.FAULT_BRK,
        "undefined": layout.FAULT_UNDEFINED,
        "data_abort": layout.FAULT_DATA_ABORT,
        "instruction_abort": layout.FAULT_INSTRUCTION_ABORT,
    }
)


def hello(*, message_gpa: int = 0, message_size: int = 0) -> dict[str, int]:
    """Print ``message_size`` bytes at ``message_gpa``, or the built-in message when that is 0."""
    return _registers(0, message_gpa, message_size)


def spi(
    *,
    gic_version: int,
    first_intid: int,
    count: int = 1,
    trigger: Trigger = "edge",
    ack_device: bool = False,
    split_eoi: bool = False,
    late_setup: bool = False,
    read_status: bool = False,
) -> dict[str, int]:
    """Take the SPIs ``first_intid`` to ``first_intid + count - 1``.

    With ``ack_device`` the handler tells the device by a store to ``layout.DEVICE_ACK_GPA`` before
    it ends the interrupt; without, a GIC that the CPU drives directly is all that it touches. With
    ``read_status`` it first loads ``layout.device_status_gpa(intid)``, and 0 means: do not serve.
    With ``late_setup`` the SPIs stay as reset made them, disabled and edge-triggered, from
    ``report.waiting`` until the host calls ``report.let_go_on()``.
    """
    _check_spis(first_intid, count)
    flags = layout.SPI_LEVEL if _choice("trigger", trigger, {"edge": 0, "level": 1}) else 0
    flags |= layout.SPI_ACK_DEVICE if ack_device else 0
    flags |= layout.SPI_SPLIT_EOI if split_eoi else 0
    flags |= layout.SPI_LATE_SETUP if late_setup else 0
    flags |= layout.SPI_READ_STATUS if read_status else 0
    return _registers(_gic(gic_version), first_intid, count, flags)


def edu(
    *, gic_version: int, intid: int, ends: int, rounds: int = 1, leave_guest: bool = True
) -> dict[str, int]:
    """Raise the line of the device at ``layout.EDU_GPA`` ``rounds`` times.

    Each time it stays up for ``ends`` ends of the interrupt ``intid``, and is lowered in the next
    one: ``ends + 1`` interrupts. With ``leave_guest`` each of them also stores to
    ``layout.DEVICE_ACK_GPA`` before its end.
    """
    _check_spis(intid, 1)
    flags = layout.SPI_LEVEL | (layout.SPI_ACK_DEVICE if leave_guest else 0)
    return _registers(_gic(gic_version), intid, ends, flags, rounds)


def lpi(*, device_id: int, events: int = 1) -> dict[str, int]:
    """Map the events 0 to ``events - 1`` of a device to LPIs from 8192 on, and take these.

    Needs a GICv3 with an ITS at ``layout.ITS_GPA``. An MSI is the EventID as a store to
    ``layout.ITS_TRANSLATER_GPA`` by that device: KVM_SIGNAL_MSI, or an irqfd on an MSI route.
    """
    if not 0 <= device_id < layout.LPI_DEVICE_ID_COUNT:
        raise ValueError(
            f"device_id is {device_id}, but the guest's device table has room for "
            f"DeviceIDs 0 to {layout.LPI_DEVICE_ID_COUNT - 1}"
        )
    if not 1 <= events <= layout.REPORT_LPI_COUNT:
        raise ValueError(
            f"events is {events}, but the report counts 1 to {layout.REPORT_LPI_COUNT} of them"
        )
    return _registers(3, device_id, events)


def mixed(
    *,
    gic_version: int,
    first_intid: int,
    edges: int,
    levels: int = 0,
    ppi: int = 0,
    timer_hz: int = 0,
    events: int = 0,
) -> dict[str, int]:
    """Take interrupts of every kind: ``edges`` edge-triggered SPIs, then ``levels`` others.

    Also the PPI ``ppi``, the virtual timer ``timer_hz`` times a second, and the LPIs of the events
    0 to ``events - 1`` of the device ``layout.MIXED_DEVICE_ID``; 0 is none of these.
    """
    _check_spis(first_intid, edges + levels)
    if ppi and not 16 <= ppi < layout.SPI_FIRST_INTID:
        raise ValueError(f"ppi is {ppi}, but PPIs are 16 to {layout.SPI_FIRST_INTID - 1}")
    if not 0 <= events <= layout.REPORT_LPI_COUNT:
        raise ValueError(
            f"events is {events}, but the report counts up to {layout.REPORT_LPI_COUNT} of them"
        )
    gic = _gic(gic_version)
    return _registers(gic, first_intid, edges + levels, levels, ppi, timer_hz, events)


def doorbell(
    *,
    count: int,
    width: int = 4,
    first_value: int = 1,
    step: int = 1,
    wait_for: WaitFor = "none",
    intid: int | None = None,
    gic_version: int = 0,
) -> dict[str, int]:
    """Store ``first_value``, ``first_value + step``, … to DOORBELL.

    With ``wait_for="interrupt"``, the guest waits for the SPI ``intid`` after each store.
    """
    if width not in DOORBELL_WIDTHS:
        raise ValueError(f"width is {width}, but a store is {_or(DOORBELL_WIDTHS)} bytes wide")
    if (wait_for == "interrupt") != (intid is not None):
        raise ValueError('intid is needed with wait_for="interrupt", and has no meaning without it')
    if intid is not None:
        _check_spis(intid, 1)
        _gic(gic_version)
    wait = _choice("wait_for", wait_for, _WAITS)
    return _registers(gic_version, count, width, first_value, step, wait, intid or 0)


def spin() -> dict[str, int]:
    """Count for ever."""
    return _registers(0)


def wfi() -> dict[str, int]:
    """Wait for ever."""
    return _registers(0)


def mmio(*, value: int = 0x8182_8384_8586_8788) -> dict[str, int]:
    """Store ``value`` to ECHO in every width, and load. By default all sign bits are 1."""
    return _registers(0, value)


def timer(
    *,
    gic_version: int,
    ticks: int,
    count: int = 1,
    intid: int = layout.VIRTUAL_TIMER_INTID,
    physical: bool = False,
) -> dict[str, int]:
    """Let a timer fire ``count`` times, each ``ticks`` of its counter after it is armed.

    It is the virtual one or the ``physical`` one, which raises the PPI ``intid``.
    """
    _check_ppi(intid)
    return _registers(_gic(gic_version), ticks, count, intid, int(physical))


def pmu(*, gic_version: int, intid: int, event: int) -> dict[str, int]:
    """Count ``event`` for a moment; then let a counter overflow, which raises the PPI ``intid``."""
    _check_ppi(intid)
    return _registers(_gic(gic_version), intid, event)


def psci(*, action: Action, target_mpidr: int = 0) -> dict[str, int]:
    """Make one PSCI call; ``target_mpidr`` is the affinity of the CPU for ``cpu_on``."""
    return _registers(0, _choice("action", action, _ACTIONS), target_mpidr)


def fault(*, kind: Fault) -> dict[str, int]:
    """Take an exception that the guest does not expect."""
    return _registers(0, _choice("kind", kind, _FAULTS))


def execute(*arguments: int) -> dict[str, int]:
    """Run the function at ``layout.SCRATCH_GPA``, given up to six values in x0 to x5.

    The host writes it there; ``guests.words`` has instructions for it.
    """
    if len(arguments) > 6:
        raise ValueError(f"{len(arguments)} arguments, but the guest passes on up to 6")
    return _registers(0, *arguments)


def _registers(gic_version: int, *values: int) -> dict[str, int]:
    registers = {"pc": layout.IMAGE_GPA, "x0": layout.REPORT_GPA, "x1": gic_version}
    for number, value in enumerate(values, start=2):
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{value} does not fit into x{number}: registers hold 0 to 2**64 - 1")
        registers[f"x{number}"] = value
    return registers


def _gic(version: int) -> int:
    if version not in (2, 3):
        raise ValueError(f"gic_version is {version}, but this guest can drive GIC versions 2 and 3")
    return version


def _check_spis(first_intid: int, count: int) -> None:
    last_intid = first_intid + count - 1
    if count < 1 or first_intid < layout.SPI_FIRST_INTID or last_intid > layout.SPI_LAST_INTID:
        raise ValueError(
            f"{count} SPIs from INTID {first_intid} on is not a range of SPIs: "
            f"their INTIDs are {layout.SPI_FIRST_INTID} to {layout.SPI_LAST_INTID}"
        )


def _check_ppi(intid: int) -> None:
    if not 16 <= intid < layout.SPI_FIRST_INTID:
        raise ValueError(f"INTID {intid} is no PPI: they are 16 to {layout.SPI_FIRST_INTID - 1}")


def _choice(name: str, value: str, values: Mapping[str, int]) -> int:
    if value not in values:
        raise ValueError(f"{name} is {value!r}, but must be {_or(values)}")
    return values[value]


def _or(values: Mapping[str, int] | tuple[int, ...]) -> str:
    *most, last = map(repr, values)
    return f"{', '.join(most)} or {last}"
