# SPDX-License-Identifier: Apache-2.0
"""Reading what a guest reports through shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from mmap import mmap
from types import MappingProxyType, TracebackType
from typing import Final

from guests import layout
from guests.exception import GuestException

_STOP_REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        layout.STOP_EXCEPTION: "it took an exception that it did not expect",
        layout.STOP_BAD_ARGUMENT: (
            "an argument in its registers makes no sense; see the header of its source"
        ),
        layout.STOP_NO_4K_GRANULE: (
            "this CPU has no 4 KiB translation granule, which the guests' page table needs"
        ),
        layout.STOP_CPU_INDEX: f"its MPIDR is not one of CPUs 0 to {layout.MAX_CPUS - 1}",
        layout.STOP_NO_REDISTRIBUTOR: (
            f"no redistributor from {layout.GICR_GPA:#x} on has this CPU's affinity"
        ),
        layout.STOP_PSCI_RETURNED: (
            "a PSCI call that must not return did; the vCPU needs the feature PSCI_0_2"
        ),
        layout.STOP_NO_LPIS: (
            "its redistributor takes no LPIs; the VM needs an ITS, made and initialised before "
            "the first run"
        ),
        layout.STOP_ITS_TABLE: (
            "the ITS wants more table for this DeviceID than the guest has; take a lower one, or "
            "raise ITS_TABLE_SIZE in layout.py"
        ),
        layout.STOP_ITS_OFF: (
            "the ITS did not come on: it found fault with the tables that the guest gave it"
        ),
        layout.STOP_ITS_STALLED: "the ITS stalled: it found fault with a command in its queue",
    }
)


def stop_reason_text(reason: int) -> str:
    """Say what a value stored to ``layout.STOP_GPA`` means."""
    return _STOP_REASONS.get(reason, f"reason {reason} is not in layout.py")


class Report:
    """What one CPU of a guest has reported.

    ``area`` is a view of guest memory that begins at ``layout.REPORT_GPA``. It must be all zeros
    before the first start: the guest only ever adds to it. Every property reads the shared memory
    anew, each word with one load, so it may be looked at while the guest runs. In the middle of an
    interrupt ``ended`` is behind ``taken``: let the guest settle before comparing.

    Holds a view of the buffer: use ``with`` or ``close()`` where its owner is to be closed.
    """

    def __init__(self, area: bytes | bytearray | memoryview | mmap, cpu: int = 0) -> None:
        start = layout.report_block_gpa(cpu) - layout.REPORT_GPA
        end = start + layout.REPORT_BLOCK_SIZE
        with memoryview(area) as view, view.cast("B") as octets:
            if len(octets) < end:
                raise ValueError(
                    f"the report of CPU {cpu} ends {end:#x} bytes after REPORT_GPA, "
                    f"but the view is only {len(octets):#x} bytes long"
                )
            with octets[start:end] as block:
                self._words = block.cast("Q")
        self.cpu = cpu

    def close(self) -> None:
        """Let go of the buffer. Nothing can be read any more."""
        self._words.release()

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def ready(self) -> bool:
        """The guest is set up; its interrupts, if it takes any, are enabled."""
        return self._word(layout.REPORT_READY) != 0

    @property
    def done(self) -> bool:
        """The guest has finished its work."""
        return self._word(layout.REPORT_DONE) != 0

    @property
    def waiting(self) -> bool:
        """The guest waits for the host, which is to call ``let_go_on()``."""
        return self._word(layout.REPORT_WAITING) != 0

    @property
    def starts(self) -> int:
        """How often this CPU has entered the image."""
        return self._word(layout.REPORT_STARTS)

    @property
    def mpidr(self) -> int:
        """MPIDR_EL1 of this CPU."""
        return self._word(layout.REPORT_MPIDR)

    @property
    def count(self) -> int:
        """How far the guest's main loop has come, in its own unit."""
        return self._word(layout.REPORT_COUNT)

    @property
    def wakeups(self) -> int:
        """How many WFI instructions have come to an end."""
        return self._word(layout.REPORT_WAKEUPS)

    @property
    def spurious(self) -> int:
        """Acknowledges of 1023, or of an INTID that the guest was not told to expect."""
        return self._word(layout.REPORT_SPURIOUS)

    @property
    def last_intid(self) -> int:
        """The INTID acknowledged last; 0 if there was none yet."""
        return self._word(layout.REPORT_LAST_INTID)

    @property
    def results(self) -> tuple[int, ...]:
        """The words whose meaning the header of the guest's source gives."""
        first = layout.REPORT_RESULTS // 8
        return tuple(self._words[first : first + layout.REPORT_RESULT_COUNT])

    def taken(self, intid: int) -> int:
        """How often this INTID was acknowledged."""
        return self._word(layout.REPORT_TAKEN + 8 * _checked(intid))

    def ended(self, intid: int) -> int:
        """How often this INTID was ended (and deactivated, if that is a step of its own)."""
        return self._word(layout.REPORT_ENDED + 8 * _checked(intid))

    def lpi_taken(self, event: int) -> int:
        """How often the LPI of this EventID was acknowledged, in `lpi`."""
        return self._word(layout.REPORT_LPI_TAKEN + 8 * _checked_event(event))

    def lpi_ended(self, event: int) -> int:
        """How often the LPI of this EventID was ended, in `lpi`."""
        return self._word(layout.REPORT_LPI_ENDED + 8 * _checked_event(event))

    @property
    def total_taken(self) -> int:
        """Acknowledges of all expected INTIDs, LPIs among them."""
        return self._total(layout.REPORT_TAKEN, layout.REPORT_LPI_TAKEN)

    @property
    def total_ended(self) -> int:
        """Ends of all expected INTIDs, LPIs among them."""
        return self._total(layout.REPORT_ENDED, layout.REPORT_LPI_ENDED)

    @property
    def exception(self) -> GuestException | None:
        """The exception that ended the guest, if one did."""
        vector_plus_one = self._word(layout.REPORT_EXCEPTION)
        if vector_plus_one == 0:
            return None
        return GuestException(
            vector=vector_plus_one - 1,
            esr=self._word(layout.REPORT_ESR),
            elr=self._word(layout.REPORT_ELR),
            far=self._word(layout.REPORT_FAR),
            spsr=self._word(layout.REPORT_SPSR),
        )

    @property
    def stop_reason(self) -> int:
        """Why the guest gave up: ``layout.STOP_*``, or 0 if it has not."""
        return self._word(layout.REPORT_STOP_REASON)

    @property
    def failure(self) -> str | None:
        """Why the guest gave up, in words; None if it has not."""
        if self.stop_reason == 0:
            return None
        if self.stop_reason == layout.STOP_EXCEPTION:
            return f"CPU {self.cpu} of the guest stopped: {self.exception}"
        return f"CPU {self.cpu} of the guest stopped: {stop_reason_text(self.stop_reason)}"

    def request_stop(self) -> None:
        """Ask `spi` to power off at its next wake-up. A kick and another run wake it."""
        self._words[layout.REPORT_HOST_STOP // 8] = 1

    def answer_doorbells(self, count: int) -> None:
        """Tell a `doorbell` guest that waits for the host how many stores it has answered."""
        self._words[layout.REPORT_HOST_WORD // 8] = count

    def let_go_on(self) -> None:
        """Let a guest that is ``waiting`` for the host go on."""
        self._words[layout.REPORT_HOST_WORD // 8] = 1

    def let_sleep(self, sleep: bool = True) -> None:
        """Let `mixed` sleep in each turn of its main loop until an interrupt comes, or not."""
        self._words[layout.REPORT_HOST_WORD // 8] = int(sleep)

    def _word(self, offset: int) -> int:
        return self._words[offset // 8]

    def _total(self, by_intid: int, by_event: int) -> int:
        first, second = by_intid // 8, by_event // 8
        return sum(self._words[first : first + layout.REPORT_INTID_COUNT]) + sum(
            self._words[second : second + layout.REPORT_LPI_COUNT]
        )


def _checked(intid: int) -> int:
    if not 0 <= intid < layout.REPORT_INTID_COUNT:
        raise ValueError(
            f"INTID {intid} is not counted: the report has 0 to {layout.REPORT_INTID_COUNT - 1}"
        )
    return intid


def _checked_event(event: int) -> int:
    if not 0 <= event < layout.REPORT_LPI_COUNT:
        raise ValueError(
            f"event {event} is not counted: the report has 0 to {layout.REPORT_LPI_COUNT - 1}"
        )
    return event
