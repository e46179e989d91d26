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
SCRATCH_SIZE: Final = 0x4_0000
# What `lpi` gives the GIC to keep its tables in; the GIC wants most of them at multiples of 64 KiB.
ITS_QUEUE_GPA: Final = 0x401C_0000
ITS_QUEUE_SIZE: Final = 0x2000
LPI_PROPERTIES_GPA: Final = 0x401C_2000  # one byte per LPI
LPI_PROPERTIES_SIZE: Final = 0x2000
ITT_GPA: Final = 0x401C_4000  # interrupt translation table: one entry per event of the device
ITT_SIZE: Final = 0x400
LPI_PENDING_GPA: Final = 0x401D_0000  # one bit per INTID
LPI_PENDING_SIZE: Final = 0x800
ITS_DEVICES_GPA: Final = 0x401E_0000
ITS_COLLECTIONS_GPA: Final = 0x401F_0000
ITS_TABLE_SIZE: Final = 0x1_0000  # of each of the last two

# --- Addresses with nothing behind them: each access leaves the guest -----------------------------
MMIO_GPA: Final = 0x0A00_0000
MMIO_SIZE: Final = 0x1_0000
CONSOLE_GPA: Final = MMIO_GPA + 0x000  # store of 1 byte: a character
DEVICE_ACK_GPA: Final = MMIO_GPA + 0x100  # store of 4 bytes: the INTID whose device is being served
DOORBELL_GPA: Final = MMIO_GPA + 0x200  # store of 1, 2, 4 or 8 bytes
ECHO_GPA: Final = MMIO_GPA + 0x300  # loads and stores of 1, 2, 4 or 8 bytes
STOP_GPA: Final = MMIO_GPA + 0x400  # store of 4 bytes: a STOP_* reason; the guest has given up
DEVICE_STATUS_GPA: Final = MMIO_GPA + 0x1000  # + 4 * INTID, load of 4 bytes: 0 = wants no service

# --- A device of the host that `edu` drives: its registers are a memory slot ----------------------
EDU_GPA: Final = 0x0B00_0000
EDU_STATUS: Final = 0x24  # load of 4 bytes: why its interrupt line is up; 0 = it is down
EDU_RAISE: Final = 0x60  # store of 4 bytes: one more reason, and the line is up
EDU_LOWER: Final = 0x64  # store of 4 bytes: this reason is gone

# --- Interrupt controllers ------------------------------------------------------------------------
GICD_GPA: Final = 0x0800_0000  # distributor, both versions
GICC_GPA: Final = 0x0801_0000  # GICv2 CPU interface
ITS_GPA: Final = 0x0808_0000  # GICv3 interrupt translation service
ITS_SIZE: Final = 0x2_0000
ITS_TRANSLATER_GPA: Final = ITS_GPA + 0x1_0040  # where MSIs go: an EventID is stored there
GICR_GPA: Final = 0x080A_0000  # GICv3 redistributors, one after the other
GICR_STRIDE: Final = 0x2_0000
SPI_FIRST_INTID: Final = 32
SPI_LAST_INTID: Final = 1019
SPECIAL_FIRST_INTID: Final = 1020
SPURIOUS_INTID: Final = 1023
VIRTUAL_TIMER_INTID: Final = 27
LPI_FIRST_INTID: Final = 8192

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
REPORT_WAITING: Final = 0x70  # 1 while the guest waits for the host's word before it goes on
REPORT_RESULTS: Final = 0x80  # what the guest's header says
REPORT_RESULT_COUNT: Final = 16
# The host writes these two, and the guest only reads them: so they have a cache line of their own.
REPORT_HOST_STOP: Final = 0x400  # not 0: `spi` ends at its next wake-up
REPORT_HOST_WORD: Final = (
    0x408  # doorbells answered; not 0: what waits for the host may go on; `mixed` sleeps
)
REPORT_TAKEN: Final = 0x1000  # acknowledges, indexed by INTID
REPORT_ENDED: Final = 0x3000  # ends, indexed by INTID
REPORT_INTID_COUNT: Final = 1020
REPORT_LPI_TAKEN: Final = 0x5000  # the same, indexed by INTID - LPI_FIRST_INTID
REPORT_LPI_ENDED: Final = 0x7000
REPORT_LPI_COUNT: Final = 64

# --- Why a guest gave up --------------------------------------------------------------------------
STOP_EXCEPTION: Final = 1
STOP_BAD_ARGUMENT: Final = 2
STOP_NO_4K_GRANULE: Final = 3
STOP_CPU_INDEX: Final = 4
STOP_NO_REDISTRIBUTOR: Final = 5
STOP_PSCI_RETURNED: Final = 6
STOP_NO_LPIS: Final = 7
STOP_ITS_TABLE: Final = 8
STOP_ITS_OFF: Final = 9
STOP_ITS_STALLED: Final = 10

# --- Arguments of the guests ----------------------------------------------------------------------
SPI_LEVEL: Final = 1  # program the SPIs as level-triggered instead of edge-triggered
SPI_ACK_DEVICE: Final = 2  # store the INTID to DEVICE_ACK before the end of interrupt
SPI_SPLIT_EOI: Final = 4  # EOImode 1: priority drop and deactivation are two steps
SPI_LATE_SETUP: Final = 8  # leave the SPIs as reset made them until the host says go on
SPI_READ_STATUS: Final = 16  # load DEVICE_STATUS before all else, and serve only if it is not 0

# KVM's entries have 8 bytes. Room for every DeviceID that KVM's ITS knows would take 512 KiB.
LPI_DEVICE_ID_COUNT: Final = ITS_TABLE_SIZE // 8
MIXED_DEVICE_ID: Final = 8  # the device whose events `mixed` maps to LPIs

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


def device_status_gpa(intid: int) -> int:
    """Return where `spi` looks whether the device behind this SPI wants service."""
    if not SPI_FIRST_INTID <= intid <= SPI_LAST_INTID:
        raise ValueError(f"INTID {intid} is no SPI: they are {SPI_FIRST_INTID} to {SPI_LAST_INTID}")
    return DEVICE_STATUS_GPA + 4 * intid


def report_block_gpa(cpu: int) -> int:
    """Return where the report block of the CPU with this index (its Aff0) begins."""
    if not 0 <= cpu < MAX_CPUS:
        raise ValueError(f"CPU index {cpu} is out of range: guests know 0 to {MAX_CPUS - 1}")
    return REPORT_GPA + cpu * REPORT_BLOCK_SIZE
