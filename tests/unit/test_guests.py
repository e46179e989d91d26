# SPDX-License-Identifier: Apache-2.0
"""The tiny guests' images, layout, arguments and reports, as far as they go without running."""

from __future__ import annotations

import inspect
import itertools
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from guests import (
    GuestException,
    Report,
    arguments,
    build,
    guest_names,
    layout,
    load_image,
    words,
)
from guests.images import DIRECTORY


def report_area() -> bytearray:
    return bytearray(layout.REPORT_SIZE)


def put(area: bytearray, offset: int, value: int, cpu: int = 0) -> None:
    struct.pack_into("<Q", area, cpu * layout.REPORT_BLOCK_SIZE + offset, value)


class TestImages:
    @pytest.mark.needs("arm64_assembler")
    @pytest.mark.parametrize("name", guest_names())
    def test_checked_in_bytes_are_what_the_source_gives(self, name: str) -> None:
        assert build.assemble(DIRECTORY / f"{name}.S") == load_image(name)

    def test_every_image_has_a_source_and_every_guest_its_arguments(self) -> None:
        images = sorted(path.stem for path in DIRECTORY.glob("*.bin"))
        functions = [
            name
            for name, member in inspect.getmembers(arguments, inspect.isfunction)
            if not name.startswith("_")
        ]
        assert images == guest_names() == functions

    def test_no_image_reaches_the_stacks(self) -> None:
        for name in guest_names():
            assert 0 < len(load_image(name)) <= layout.IMAGE_MAX_SIZE

    def test_an_unknown_name_is_answered_with_the_known_ones(self) -> None:
        with pytest.raises(ValueError, match=r"no guest 'nope'.*doorbell.*wfi"):
            load_image("nope")

    @pytest.mark.needs("arm64_assembler")
    def test_a_source_that_does_not_assemble_is_an_error(self, tmp_path: Path) -> None:
        source = tmp_path / "broken.S"
        source.write_text("nonsense x0, x1\n")
        with pytest.raises(build.BuildError, match=r"broken\.S"):
            build.assemble(source)

    @pytest.mark.needs("arm64_assembler")
    def test_check_notices_a_stale_image(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "spin.S").write_text(".globl _start\n_start: nop\n")
        (tmp_path / "spin.bin").write_bytes(b"\0\0\0\0")
        monkeypatch.setattr(build, "DIRECTORY", tmp_path)
        assert build.main(["--check", "spin"]) == 1
        assert "spin.bin is out of date" in capsys.readouterr().out
        assert build.main(["spin"]) == 0
        assert (tmp_path / "spin.bin").read_bytes() == bytes.fromhex("1f2003d5")
        assert build.main(["--check", "spin"]) == 0

    @pytest.mark.needs("arm64_assembler")
    def test_words_are_what_the_assembler_makes(self, tmp_path: Path) -> None:
        pairs = {
            "mrs x3, mpidr_el1": words.mrs(3, (3, 0, 0, 0, 5)),
            "msr tpidr_el0, x9": words.msr((3, 3, 13, 0, 2), 9),
            "hvc #7": words.hvc(7), "smc #7": words.smc(7), "brk #7": words.brk(7),
            "mov x4, x5": words.mov(4, 5), "msr daifclr, #6": words.unmask(6),
            "ldr x1, [x2, #24]": words.ldr(1, 2, 24), "str x1, [x2, #24]": words.str_(1, 2, 24),
            "ldr w1, [x2, #20]": words.ldr_w(1, 2, 20), "str w1, [x2, #20]": words.str_w(1, 2, 20),
            "nop": words.NOP, "wfi": words.WFI, "isb": words.ISB, "dsb sy": words.DSB_SY,
            "b .": words.SPIN, "msr daifset, #4": words.mask(4),
            "ldp x1, x2, [x3]": words.ldp(1, 2, 3),
            "eret": words.ERET, "str q4, [x5]": words.str_q(4, 5),
            "str z4, [x5]": words.str_z(4, 5), "str p4, [x5]": words.str_p(4, 5),
            "orr x4, x5, x6": words.orr(4, 5, 6), "add x4, x5, #320": words.add(4, 5, 320),
            "tlbi vmalle1": words.TLBI_VMALLE1, "cbnz x3, .-12": words.cbnz(3, -3),
            "add x3, x4, x5": words.add_x(3, 4, 5),
            "stg x1, [x2]": words.stg(1, 2), "ldg x1, [x2]": words.ldg(1, 2),
            "rdffr p4.b": words.rdffr(4), "rdvl x4, #1": words.rdvl(4),
            "pacia x4, x5": words.pacia(4, 5), "pacga x4, x5, x6": words.pacga(4, 5, 6),
        }  # fmt: skip
        source = tmp_path / "words.S"
        head = ".arch armv8.5-a+sve+memtag\n.globl _start\n_start:\n"
        source.write_text(head + "\n".join(pairs) + "\nret\n")
        assert build.assemble(source) == words.code(*pairs.values())

    def test_importing_the_guests_imports_no_binding(self) -> None:
        code = "import guests, guests.build, sys; print('pykvm' in sys.modules)"
        path = str(DIRECTORY.parent)
        run = subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == "False\n"


class TestLayout:
    @pytest.mark.needs("arm64_assembler")
    def test_the_assembler_sees_the_numbers_that_python_sees(self, tmp_path: Path) -> None:
        numbers = layout.constants()
        source = tmp_path / "numbers.S"
        words = "".join(f".quad {name}\n" for name in numbers)
        source.write_text(f'#include "layout.h"\n.text\n.globl _start\n_start:\n{words}')
        image = build.assemble(source)
        assert list(struct.unpack(f"<{len(numbers)}Q", image)) == list(numbers.values())

    def test_regions_do_not_overlap(self) -> None:
        redistributors = layout.MAX_CPUS * layout.GICR_STRIDE
        regions = [
            (layout.GICD_GPA, 0x1_0000),
            (layout.GICC_GPA, 0x2000),
            (layout.ITS_GPA, layout.ITS_SIZE),
            (layout.GICR_GPA, redistributors),
            (layout.MMIO_GPA, layout.MMIO_SIZE),
            (layout.IMAGE_GPA, layout.IMAGE_MAX_SIZE),
            (layout.STACKS_GPA, layout.MAX_CPUS * layout.STACK_SIZE),
            (layout.REPORT_GPA, layout.REPORT_SIZE),
            (layout.SCRATCH_GPA, layout.SCRATCH_SIZE),
            (layout.ITS_QUEUE_GPA, layout.ITS_QUEUE_SIZE),
            (layout.LPI_PROPERTIES_GPA, layout.LPI_PROPERTIES_SIZE),
            (layout.ITT_GPA, layout.ITT_SIZE),
            (layout.LPI_PENDING_GPA, layout.LPI_PENDING_SIZE),
            (layout.ITS_DEVICES_GPA, layout.ITS_TABLE_SIZE),
            (layout.ITS_COLLECTIONS_GPA, layout.ITS_TABLE_SIZE),
        ]
        assert regions == sorted(regions)
        for (start, size), (following, _) in itertools.pairwise(regions):
            assert start + size <= following
        assert sum(regions[-1]) == layout.RAM_GPA + layout.RAM_SIZE <= layout.UNTRANSLATED_ADDRESS

    def test_the_mmio_page_has_a_register_for_each_purpose(self) -> None:
        registers = [
            (layout.CONSOLE_GPA, 1),
            (layout.DEVICE_ACK_GPA, 4),
            (layout.DOORBELL_GPA, 8),
            (layout.ECHO_GPA, 8),
            (layout.STOP_GPA, 4),
            (layout.device_status_gpa(32), 4),
            (layout.device_status_gpa(1019), 4),
        ]
        for (start, size), (following, _) in itertools.pairwise(registers):
            assert start + size <= following
        assert sum(registers[-1]) <= layout.MMIO_GPA + layout.MMIO_SIZE

    @pytest.mark.parametrize("intid", [31, 1020, 8192])
    def test_only_spis_have_a_device_status(self, intid: int) -> None:
        with pytest.raises(ValueError, match=f"INTID {intid} is no SPI"):
            layout.device_status_gpa(intid)

    def test_tables_are_aligned_as_their_registers_hold_them(self) -> None:
        assert layout.LPI_PROPERTIES_GPA % 0x1000 == layout.ITT_GPA % 0x100 == 0
        for gpa in (
            layout.ITS_QUEUE_GPA,
            layout.LPI_PENDING_GPA,
            layout.ITS_DEVICES_GPA,
            layout.ITS_COLLECTIONS_GPA,
        ):
            assert gpa % 0x1_0000 == 0

    def test_the_report_has_room_for_every_cpu_on_64k_pages(self) -> None:
        assert layout.MAX_CPUS * layout.REPORT_BLOCK_SIZE <= layout.REPORT_SIZE
        assert layout.REPORT_GPA % 0x1_0000 == layout.REPORT_SIZE % 0x1_0000 == 0
        assert layout.MMIO_GPA % 0x1_0000 == layout.MMIO_SIZE % 0x1_0000 == 0

    def test_words_of_the_report_do_not_overlap(self) -> None:
        not_offsets = {"REPORT_GPA", "REPORT_SIZE", "REPORT_BLOCK_SIZE"}
        arrays = {
            "REPORT_RESULTS": layout.REPORT_RESULT_COUNT,
            "REPORT_TAKEN": layout.REPORT_INTID_COUNT,
            "REPORT_ENDED": layout.REPORT_INTID_COUNT,
            "REPORT_LPI_TAKEN": layout.REPORT_LPI_COUNT,
            "REPORT_LPI_ENDED": layout.REPORT_LPI_COUNT,
        }
        used: set[int] = set()
        for name, offset in layout.constants().items():
            if name.startswith("REPORT_") and name not in not_offsets and "_COUNT" not in name[6:]:
                words = set(range(offset, offset + 8 * arrays.get(name, 1), 8))
                assert offset % 8 == 0, name
                assert not words & used, name
                used |= words
        assert layout.REPORT_COUNT not in used
        assert max(used) < layout.REPORT_BLOCK_SIZE

    def test_a_cpu_that_the_report_has_no_block_for(self) -> None:
        assert layout.report_block_gpa(1) == layout.REPORT_GPA + layout.REPORT_BLOCK_SIZE
        for cpu in (-1, layout.MAX_CPUS):
            with pytest.raises(ValueError, match=f"CPU index {cpu} "):
                layout.report_block_gpa(cpu)


class TestArguments:
    def test_every_guest_gets_entry_report_and_gic_version(self) -> None:
        registers = arguments.timer(gic_version=3, ticks=5, count=2)
        assert registers == {
            "pc": 0x4000_0000,
            "x0": 0x4010_0000,
            "x1": 3,
            "x2": 5,
            "x3": 2,
            "x4": 27,
            "x5": 0,
        }
        no_arguments = {"pc": 0x4000_0000, "x0": 0x4010_0000, "x1": 0}
        assert arguments.spin() == arguments.wfi() == no_arguments

    def test_spi(self) -> None:
        registers = arguments.spi(gic_version=2, first_intid=40)
        assert [registers[f"x{number}"] for number in range(1, 5)] == [2, 40, 1, 0]
        registers = arguments.spi(
            gic_version=3,
            first_intid=32,
            count=988,
            trigger="level",
            ack_device=True,
            split_eoi=True,
        )
        flags = layout.SPI_LEVEL | layout.SPI_ACK_DEVICE | layout.SPI_SPLIT_EOI
        assert [registers[f"x{number}"] for number in range(1, 5)] == [3, 32, 988, flags]

    @pytest.mark.parametrize(
        ("word", "flag"),
        [
            ("ack_device", layout.SPI_ACK_DEVICE),
            ("split_eoi", layout.SPI_SPLIT_EOI),
            ("late_setup", layout.SPI_LATE_SETUP),
            ("read_status", layout.SPI_READ_STATUS),
        ],
    )
    def test_each_word_for_spi_is_one_flag(self, word: str, flag: int) -> None:
        words: dict[str, Any] = {word: True}
        assert arguments.spi(gic_version=3, first_intid=40, **words)["x4"] == flag

    def test_lpi(self) -> None:
        registers = arguments.lpi(device_id=8191, events=64)
        assert [registers[f"x{number}"] for number in range(1, 4)] == [3, 8191, 64]
        assert arguments.lpi(device_id=0)["x3"] == 1

    @pytest.mark.parametrize("device_id", [-1, 8192])
    def test_a_device_that_the_table_has_no_room_for(self, device_id: int) -> None:
        with pytest.raises(ValueError, match=f"device_id is {device_id}, .* 0 to 8191"):
            arguments.lpi(device_id=device_id)

    @pytest.mark.parametrize("events", [0, 65])
    def test_events_that_are_not_counted(self, events: int) -> None:
        with pytest.raises(ValueError, match=f"events is {events}, .* 1 to 64"):
            arguments.lpi(device_id=0, events=events)

    @pytest.mark.parametrize(("first_intid", "count"), [(31, 1), (1020, 1), (32, 989), (40, 0)])
    def test_not_a_range_of_spis(self, first_intid: int, count: int) -> None:
        with pytest.raises(ValueError, match="INTIDs are 32 to 1019"):
            arguments.spi(gic_version=3, first_intid=first_intid, count=count)

    @pytest.mark.parametrize("version", [0, 1, 4])
    def test_a_gic_that_the_guests_cannot_drive(self, version: int) -> None:
        with pytest.raises(ValueError, match=f"gic_version is {version}"):
            arguments.spi(gic_version=version, first_intid=40)

    def test_doorbell(self) -> None:
        registers = arguments.doorbell(
            count=9,
            width=8,
            first_value=7,
            step=3,
            wait_for="interrupt",
            intid=50,
            gic_version=3,
        )
        values = [registers[f"x{number}"] for number in range(1, 8)]
        assert values == [3, 9, 8, 7, 3, layout.WAIT_INTERRUPT, 50]

    def test_doorbell_refuses_what_makes_no_sense(self) -> None:
        with pytest.raises(ValueError, match="width is 3"):
            arguments.doorbell(count=1, width=3)
        with pytest.raises(ValueError, match="intid is needed"):
            arguments.doorbell(count=1, wait_for="interrupt", gic_version=3)
        with pytest.raises(ValueError, match="intid is needed"):
            arguments.doorbell(count=1, intid=40)
        with pytest.raises(ValueError, match="gic_version is 0"):
            arguments.doorbell(count=1, wait_for="interrupt", intid=40)

    def test_a_word_that_is_not_a_choice(self) -> None:
        with pytest.raises(ValueError, match=r"action is 'reboot', but must be 'report', .* or"):
            arguments.psci(action="reboot")  # type: ignore[arg-type]

    def test_a_value_that_no_register_holds(self) -> None:
        with pytest.raises(ValueError, match="does not fit into x2"):
            arguments.mmio(value=1 << 64)


class TestReport:
    def test_an_empty_report(self) -> None:
        report = Report(report_area())
        assert not report.ready
        assert not report.done
        assert not report.waiting
        assert report.exception is None
        assert report.failure is None
        assert report.total_taken == report.total_ended == report.spurious == 0
        assert report.results == (0,) * layout.REPORT_RESULT_COUNT

    def test_each_word_is_read_from_its_own_place_and_cpu(self) -> None:
        area = report_area()
        for number, name in enumerate(("COUNT", "WAKEUPS", "SPURIOUS", "LAST_INTID", "MPIDR"), 1):
            put(area, layout.constants()[f"REPORT_{name}"], number << 40, cpu=1)
        put(area, layout.REPORT_STARTS, 6, cpu=1)
        put(area, layout.REPORT_READY, 1, cpu=1)
        put(area, layout.REPORT_RESULTS + 8, 7, cpu=1)
        put(area, layout.REPORT_TAKEN + 8 * 40, 9, cpu=1)
        put(area, layout.REPORT_ENDED + 8 * 40, 8, cpu=1)
        put(area, layout.REPORT_TAKEN + 8 * 1019, 1, cpu=1)
        put(area, layout.REPORT_WAITING, 1, cpu=1)
        report = Report(area, cpu=1)
        words = (report.count, report.wakeups, report.spurious, report.last_intid, report.mpidr)
        assert words == tuple(number << 40 for number in range(1, 6))
        assert (report.starts, report.ready, report.done) == (6, True, False)
        assert report.waiting
        assert report.results[:3] == (0, 7, 0)
        assert (report.taken(40), report.ended(40), report.taken(41)) == (9, 8, 0)
        assert (report.total_taken, report.total_ended) == (10, 8)
        assert Report(area).starts == Report(area, cpu=2).starts == 0

    def test_lpis_are_counted_by_event(self) -> None:
        area = report_area()
        put(area, layout.REPORT_LPI_TAKEN, 5, cpu=1)
        put(area, layout.REPORT_LPI_ENDED, 4, cpu=1)
        put(area, layout.REPORT_LPI_TAKEN + 8 * 63, 3, cpu=1)
        put(area, layout.REPORT_TAKEN + 8 * 40, 1, cpu=1)
        report = Report(area, cpu=1)
        assert (report.lpi_taken(0), report.lpi_ended(0), report.lpi_taken(63)) == (5, 4, 3)
        assert (report.total_taken, report.total_ended) == (9, 4)

    @pytest.mark.parametrize("event", [-1, 64, 8192])
    def test_an_event_that_is_not_counted(self, event: int) -> None:
        report = Report(report_area())
        for read in (report.lpi_taken, report.lpi_ended):
            with pytest.raises(ValueError, match=f"event {event} is not counted"):
                read(event)

    def test_it_follows_the_memory(self) -> None:
        area = report_area()
        report = Report(area)
        put(area, layout.REPORT_COUNT, 1)
        assert report.count == 1
        put(area, layout.REPORT_COUNT, 2)
        assert report.count == 2

    def test_what_the_host_writes(self) -> None:
        area = report_area()
        report = Report(area, cpu=1)
        report.request_stop()
        report.answer_doorbells(5)
        start = layout.REPORT_BLOCK_SIZE + layout.REPORT_HOST_STOP
        assert struct.unpack_from("<QQ", area, start) == (1, 5)
        assert sum(area) == 6
        report.let_go_on()
        assert struct.unpack_from("<QQ", area, start) == (1, 1)

    def test_closing_lets_go_of_the_buffer(self) -> None:
        area = report_area()
        with Report(area) as report, pytest.raises(BufferError):
            area.append(0)
        area.append(0)
        with pytest.raises(ValueError, match="released"):
            _ = report.count

    def test_a_refused_buffer_is_not_held(self) -> None:
        area = bytearray(layout.REPORT_BLOCK_SIZE)
        with pytest.raises(ValueError, match="report of CPU 1 ends 0x10000"):
            Report(area, cpu=1)
        area.append(0)

    @pytest.mark.parametrize("intid", [-1, 1020, 1023, 8192])
    def test_an_intid_that_is_not_counted(self, intid: int) -> None:
        with pytest.raises(ValueError, match=f"INTID {intid} is not counted"):
            Report(report_area()).taken(intid)

    def test_every_stop_reason_has_words(self) -> None:
        area = report_area()
        for name, reason in layout.constants().items():
            if re.fullmatch(r"STOP_(?!GPA).*", name) and name != "STOP_EXCEPTION":
                put(area, layout.REPORT_STOP_REASON, reason)
                failure = Report(area).failure
                assert failure is not None
                assert "not in layout.py" not in failure, name
        put(area, layout.REPORT_STOP_REASON, 77)
        assert Report(area).failure == "CPU 0 of the guest stopped: reason 77 is not in layout.py"

    def test_an_exception(self) -> None:
        area = report_area()
        put(area, layout.REPORT_STOP_REASON, layout.STOP_EXCEPTION)
        put(area, layout.REPORT_EXCEPTION, 5)
        put(area, layout.REPORT_ESR, 0x9600_0005)
        put(area, layout.REPORT_ELR, 0x4000_1038)
        put(area, layout.REPORT_FAR, 0x8000_0000)
        put(area, layout.REPORT_SPSR, 0x3C5)
        report = Report(area)
        assert report.exception == GuestException(4, 0x9600_0005, 0x4000_1038, 0x8000_0000, 0x3C5)
        assert report.failure == (
            "CPU 0 of the guest stopped: unexpected synchronous exception from EL1 using SP_EL1, "
            "at 0x40001038 (offset 0x1038 of the image): data abort, translation fault at level 1 "
            "at address 0x80000000 (EC 0x25, ESR 0x96000005)"
        )


class TestException:
    def test_an_interrupt_has_no_syndrome(self) -> None:
        exception = GuestException(vector=5, esr=0x9600_0005, elr=0xA00_0000, far=0, spsr=0)
        assert str(exception) == "unexpected IRQ from EL1 using SP_EL1, at 0xa000000"

    def test_an_serror(self) -> None:
        exception = GuestException(vector=7, esr=0xBE00_0011, elr=0x4000_0000, far=0, spsr=0)
        assert "SError (EC 0x2f, ESR 0xbe000011)" in str(exception)

    def test_a_class_that_is_not_in_the_table(self) -> None:
        exception = GuestException(vector=4, esr=0x3F << 26, elr=0, far=0, spsr=0)
        assert "class not known here (EC 0x3f" in str(exception)
