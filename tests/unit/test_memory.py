# SPDX-License-Identifier: Apache-2.0
"""GuestMemory: where it lies, what can be read and written, and what keeps it open."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from pathlib import Path

import pytest

from pykvm import ClosedError, GuestMemory, KvmError
from tests.kvm.footprint import unchanged
from tests.kvm.processes import forked

PAGE = mmap.PAGESIZE
SIZE = 4 * PAGE


@pytest.mark.parametrize("size", [PAGE, 3 * PAGE, 2 << 20, (2 << 20) + PAGE, 64 << 20])
def test_it_is_aligned_to_huge_pages_and_zeroed(size: int) -> None:
    with unchanged(), GuestMemory(size) as memory:
        assert memory.hva % (2 << 20) == 0
        assert (memory.size, len(memory)) == (size, size)
        assert memory.read(0, PAGE) == memory.read(size - PAGE, PAGE) == bytes(PAGE)
        memory.write(size - 1, b"!")
        assert memory.read(size - 1, 1) == b"!"


def test_huge_pages_are_advised() -> None:
    with GuestMemory(4 << 20, huge_pages=True) as memory:
        address = memory.hva
        inside = False
        for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
            head = line.split()[0]
            if "-" in head and not head.endswith(":"):
                first, last = (int(end, 16) for end in head.split("-"))
                inside = first <= address < last
            elif inside and head == "VmFlags:":
                assert "hg" in line.split()


def test_more_than_the_host_has_is_taken_when_it_is_touched() -> None:
    with unchanged(), GuestMemory(1 << 36) as memory:
        memory.write(1 << 35, b"far")
        assert memory.read(1 << 35, 3) == b"far"


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE + 1, -PAGE, 1 << 53])
def test_sizes_that_would_not_do(size: int) -> None:
    for make in (GuestMemory, GuestMemory.memfd, lambda size: GuestMemory.file(0, size)):
        with unchanged(), pytest.raises(ValueError, match=r"size (is|0x)"):
            make(size)


def test_more_than_there_are_addresses() -> None:
    with unchanged(), pytest.raises(KvmError, match=r"mmap\(size=0x10000000000000\).*ENOMEM"):
        GuestMemory(1 << 52)


@pytest.mark.parametrize(
    "data", [b"12", bytearray(b"12"), memoryview(b"12"), memoryview(b"1-2-")[:2]]
)
def test_writing_any_buffer(data: bytes) -> None:
    with GuestMemory(SIZE) as memory:
        memory.write(5, data)
        assert memory.read(4, 4) == b"\0" + bytes(data) + b"\0"


def test_writing_what_has_wider_items() -> None:
    from array import array

    with GuestMemory(SIZE) as memory:
        memory.write(0, array("I", [1, 2]))
        assert memory.read(0, 8) == array("I", [1, 2]).tobytes()
        memory.write(8, b"")
        memory.write(SIZE, b"")


@pytest.mark.parametrize(
    ("offset", "size"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (SIZE + 1, 0), (1, SIZE), (2**70, 1)]
)
def test_bounds(offset: int, size: int) -> None:
    with GuestMemory(SIZE) as memory:
        for call in (
            lambda: memory.read(offset, size),
            lambda: memory.write(offset, bytes(size)),
            lambda: memory.view(offset, size),
        ):
            with pytest.raises(ValueError, match=r"offset|size|end beyond"):
                call()
        assert memory.read(0, SIZE) == bytes(SIZE)


def test_views() -> None:
    with unchanged():
        memory = GuestMemory(SIZE)
        whole, part, rest = memory.view(), memory.view(8, 4), memory.view(SIZE - 2)
        assert (whole.nbytes, part.nbytes, rest.nbytes) == (SIZE, 4, 2)
        part[:] = b"abcd"
        assert whole[8:12].tobytes() == memory.read(8, 4) == b"abcd"
        for view in (whole, part):
            with pytest.raises(BufferError, match="close or release it first"):
                memory.close()
            assert not memory.closed
            view.release()
        rest.release()
        memory.close()


def test_hva_is_where_its_bytes_lie() -> None:
    with GuestMemory(SIZE) as memory:
        memory.write(8, b"there")
        assert ctypes.string_at(memory.hva + 8, 5) == b"there"


def test_a_view_outlives_a_dropped_memory() -> None:
    with unchanged():
        view = GuestMemory(SIZE).view()
        view[0] = 7
        assert view[0] == 7
        view.release()
        del view


def test_after_close() -> None:
    with unchanged():
        memory = GuestMemory(SIZE)
        memory.close()
        memory.close()
        assert memory.closed
        for call in (
            lambda: memory.read(0, 1),
            lambda: memory.write(0, b"x"),
            lambda: memory.view(),
            lambda: memory.hva,
        ):
            with pytest.raises(ClosedError, match="this GuestMemory is closed"):
                call()
    assert repr(memory) == f"<GuestMemory closed {SIZE:#x} bytes>"


def test_private_memory_reads_as_zeros_in_a_child() -> None:
    with GuestMemory(SIZE) as memory:
        memory.write(0, b"secret")

        def child() -> bytes:
            before = memory.read(0, 6)
            memory.write(0, b"other ")
            memory.close()
            return before

        assert forked(child) == bytes(6)
        assert memory.read(0, 6) == b"secret"


def test_shared_memory_is_shared_with_a_child() -> None:
    with unchanged(), GuestMemory.memfd(SIZE) as memory:
        memory.write(0, b"from the parent")

        def child() -> bytes:
            memory.write(20, b"child")
            return memory.read(0, 15)

        assert forked(child) == b"from the parent"
        assert memory.read(20, 5) == b"child"
        assert repr(memory) == f"<GuestMemory memfd {SIZE:#x} bytes>"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "guest-memory"
    path.write_bytes(bytes(PAGE) + b"here" + bytes(3 * PAGE - 4))
    return path


def test_files(file: Path) -> None:
    with unchanged():
        with open(file, "r+b") as stream:
            memory = GuestMemory.file(stream, 2 * PAGE, offset=PAGE)
        assert memory.read(0, 4) == b"here"  # the mapping needs the stream no more
        memory.write(0, b"HERE")
        memory.close()
    assert file.read_bytes()[PAGE : PAGE + 4] == b"HERE"


def test_a_private_file(file: Path) -> None:
    with open(file, "rb") as stream:
        memory = GuestMemory.file(stream.fileno(), SIZE, private=True)
    memory.write(PAGE, b"gone")
    assert memory.read(PAGE, 4) == b"gone"
    memory.close()
    assert file.read_bytes()[PAGE : PAGE + 4] == b"here"


def test_a_file_that_is_too_short(file: Path) -> None:
    with open(file, "r+b") as stream:
        for size, offset in (5 * PAGE, 0), (PAGE, SIZE), (SIZE, PAGE):
            with unchanged(), pytest.raises(ValueError) as caught:
                GuestMemory.file(stream, size, offset=offset)
            assert f"holds {SIZE:#x} bytes, less than offset + size" in str(caught.value)
    reader, writer = os.pipe()
    with unchanged(), pytest.raises(ValueError, match="holds 0x0 bytes"):
        GuestMemory.file(reader, PAGE)
    os.close(reader)
    os.close(writer)


def test_files_that_may_not_be_written(file: Path) -> None:
    for mode in ("rb", "ab"):
        with open(file, mode) as stream, unchanged(), pytest.raises(KvmError) as caught:
            GuestMemory.file(stream, SIZE)
        assert caught.value.errno == errno.EACCES
        assert "must be open for reading" in str(caught.value)


def test_an_offset_within_a_page(file: Path) -> None:
    with open(file, "r+b") as stream, unchanged(), pytest.raises(ValueError, match="offset 0x10 "):
        GuestMemory.file(stream, PAGE, offset=16)


def test_registers_of_a_device() -> None:
    """/dev/zero is a driver that maps what it is asked for."""
    with unchanged(), open("/dev/zero", "r+b", buffering=0) as zero:
        memory = GuestMemory.device(zero, 2 * PAGE, SIZE)
        assert (memory.size, memory.load(8, 4)) == (SIZE, 0)
        memory.store(8, 4, 0x1234_5678)
        assert memory.load(8, 4) == 0x1234_5678
        assert repr(memory) == f"<GuestMemory device {SIZE:#x} bytes>"
        memory.close()


def test_what_no_driver_maps(tmp_path: Path) -> None:
    with open("/dev/null", "r+b", buffering=0) as null, unchanged():
        with pytest.raises(
            KvmError, match=r"mmap device\(size=0x\w+, offset=\d+\).*ENODEV.*at all"
        ):
            GuestMemory.device(null, PAGE, SIZE)
        for offset, size in (1, PAGE), (0, 1):
            with pytest.raises(ValueError, match="no multiple of the host's page"):
                GuestMemory.device(null, offset, size)


def _huge_pages() -> tuple[int, int]:
    """Free ones, and bytes of each."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    found = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in lines}
    return found.get("HugePages_Free", 0), found.get("Hugepagesize", 0) * 1024


def test_huge_pages_that_nobody_reserved() -> None:
    free, size = _huge_pages()
    assert size, "this kernel has no huge pages: the test needs another kind of host"
    with unchanged(), pytest.raises(KvmError) as caught:
        GuestMemory.memfd((free + 1) * size, hugetlb=True)
    assert caught.value.errno == errno.ENOMEM
    assert "/proc/sys/vm/nr_hugepages" in str(caught.value)
    with unchanged(), pytest.raises(KvmError, match="multiple of the huge pages'"):
        GuestMemory.memfd(PAGE, hugetlb=True)
