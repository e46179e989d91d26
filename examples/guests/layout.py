# SPDX-License-Identifier: Apache-2.0
"""Every number that a guest and its VMM must agree on, in one place.

``build.py`` turns each upper-case integer of this module into a ``#define`` of ``layout.h``, which
the assembler sources include. ``*_GPA`` is a guest-physical address, ``*_SIZE`` is in bytes,
``REPORT_*`` without either is an offset into a CPU's report block, ``*_INTID`` is a GIC's number.
"""

from __future__ import annotations

from typing import Final

# --- Memory ---------------------------------------------------------------------------------------
RAM_GPA: Final = 0x4000_0000
RAM_SIZE: Final = 0x20_0000
IMAGE_GPA: Final = RAM_GPA  # the entry point is the first byte
IMAGE_MAX_SIZE: Final = 0x8_0000
STACKS_GPA: Final = 0x4008_0000
STACK_SIZE: Final = 0x1000
MAX_CPUS: Final = 16
REPORT_GPA: Final = 0x4010_0000  # the host may map it apart, with pages of up to 64 KiB
REPORT_SIZE: Final = 0x8_0000
SCRATCH_GPA: Final = 0x4018_0000  # for the VMM's own data, such as the message of `hello`
SCRATCH_SIZE: Final = 0x8_0000

# --- Addresses with nothing behind them: each access leaves the guest -----------------------------
MMIO_GPA: Final = 0x0A00_0000
MMIO_SIZE: Final = 0x1_0000
CONSOLE_GPA: Final = MMIO_GPA + 0x000  # store of 1 byte: a character
DEVICE_ACK_GPA: Final = MMIO_GPA + 0x100  # store of 4 bytes: the INTID whose device is being served
DOORBELL_GPA: Final = MMIO_GPA + 0x200  # store of 1, 2, 4 or 8 bytes
ECHO_GPA: Final = MMIO_GPA + 0x300  # loads and stores of 1, 2, 4 or 8 bytes
STOP_GPA: Final = MMIO_GPA + 0x400  # store of 4 bytes: a STOP_* reason; the guest has given up

# --- Interrupt controllers ------------------------------------------------------------------------
GICD_GPA: Final = 0x0800_0000  # distributor, both versions
GICC_GPA: Final = 0x0801_0000  # GICv2 CPU interface
GICR_GPA: Final = 0x080A_0000  # GICv3 redistributors, one after the other
GICR_STRIDE: Final = 0x2_0000
SPI_FIRST_INTID: Final = 32
SPI_LAST_INTID: Final = 1019
SPECIAL_FIRST_INTID: Final = 1020
SPURIOUS_INTID: Final = 1023
VIRTUAL_TIMER_INTID: Final = 27

# --- Report: one block per CPU, at REPORT_GPA + index * REPORT_BLOCK_SIZE, all words 64 bits ------
REPORT_BLOCK_SIZE: Final = 0x8000
REPORT_READY: Final = 0x00  # 1 when the guest is set up; everything before it is visible by then
REPORT_DONE: Final = 0x08  # 1 when the guest has finished its work
REPORT_STARTS: Final = 0x10  # times this CPU entered the image
REPORT_MPIDR: Final = 0x18
REPORT_COUNT: Final = 0x20  # progress of the guest's main loop: its own unit
REPORT_WAKEUPS: Final = 0x28  # WFI instructions that came to an end
REPORT_SPURIOUS: Final = 0x30  # acknowledges of 1023 or of an INTID that was not asked for
REPORT_LAST_INTID: Final = 0x38
REPORT_STOP_REASON: Final = 0x40
REPORT_EXCEPTION: Final = 0x48  # number of the vector plus 1, stored after the four words below
REPORT_ESR: Final = 0x50
REPORT_ELR: Final = 0x58
REPORT_FAR: Final = 0x60
REPORT_SPSR: Final = 0x68
REPORT_RESULTS: Final = 0x80  # what the guest's header says
REPORT_RESULT_COUNT: Final = 16
# The host writes these two, and the guest only reads them: so they have a cache line of their own.
REPORT_HOST_STOP: Final = 0x400  # not 0: `spi` ends at its next wake-up
REPORT_HOST_WORD: Final = 0x408  # doorbells answered by the host, for `doorbell`
REPORT_TAKEN: Final = 0x1000  # acknowledges, indexed by INTID
REPORT_ENDED: Final = 0x3000  # ends, indexed by INTID
REPORT_INTID_COUNT: Final = 1020

# --- Why a guest gave up --------------------------------------------------------------------------
STOP_EXCEPTION: Final = 1
STOP_BAD_ARGUMENT: Final = 2
STOP_NO_4K_GRANULE: Final = 3
STOP_CPU_INDEX: Final = 4
STOP_NO_REDISTRIBUTOR: Final = 5
STOP_PSCI_RETURNED: Final = 6

# --- Arguments of the guests ----------------------------------------------------------------------
SPI_LEVEL: Final = 1  # program the SPIs as level-triggered instead of edge-triggered
SPI_ACK_DEVICE: Final = 2  # store the INTID to DEVICE_ACK before the end of interrupt
SPI_SPLIT_EOI: Final = 4  # EOImode 1: priority drop and deactivation are two steps

WAIT_NONE: Final = 0
WAIT_HOST: Final = 1
WAIT_INTERRUPT: Final = 2

ACTION_REPORT: Final = 0
ACTION_SYSTEM_OFF: Final = 1
ACTION_SYSTEM_RESET: Final = 2
ACTION_CPU_ON: Final = 3

FAULT_BRK: Final = 0
FAULT_UNDEFINED: Final = 1
FAULT_DATA_ABORT: Final = 2
FAULT_INSTRUCTION_ABORT: Final = 3
UNTRANSLATED_ADDRESS: Final = 0x8000_0000  # the identity map of the guests ends here


def constants() -> dict[str, int]:
    """Return every shared number by name, as the assembler sees them."""
    return {name: value for name, value in globals().items() if name.isupper()}


def report_block_gpa(cpu: int) -> int:
    """Return where the report block of the CPU with this index (its Aff0) begins."""
    if not 0 <= cpu < MAX_CPUS:
        raise ValueError(f"CPU index {cpu} is out of range: guests know 0 to {MAX_CPUS - 1}")
    return REPORT_GPA + cpu * REPORT_BLOCK_SIZE
