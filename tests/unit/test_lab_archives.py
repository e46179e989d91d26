# SPDX-License-Identifier: Apache-2.0
"""The lab's archives: what it writes, another program must be able to read."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.lab import cache
from tests.lab.cpio import Writer
from tests.lab.errors import LabError, UsageError
from tests.lab.job import unpack_out
from tests.lab.tree import parse_file


def _entries(data: bytes) -> dict[str, tuple[int, bytes]]:
    """A second reading of the newc format, straight from its definition."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while at < len(data):
        assert data[at : at + 6] == b"070701", at
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        begin = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, data[begin : begin + size])
        at = (begin + size + 3) & ~3
    raise AssertionError("no trailer")


@pytest.mark.parametrize("size", range(9))
def test_every_size_of_file_and_name_is_padded(size: int) -> None:
    stream = io.BytesIO()
    writer = Writer(stream)
    writer.file("n" * (size + 1), b"d" * size, 0o640)
    writer.file("second", b"whole")
    writer.close()
    assert len(stream.getvalue()) % 512 == 0
    assert _entries(stream.getvalue()) == {
        "n" * (size + 1): (0o100640, b"d" * size),
        "second": (0o100644, b"whole"),
    }


def test_a_tree_keeps_links_modes_and_order(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "folder/program").write_bytes(b"#!")
    (tmp_path / "folder/program").chmod(0o755)
    (tmp_path / "link").symlink_to("folder/program")
    os.mkfifo(tmp_path / "pipe")  # neither file, link nor directory: left out
    stream = io.BytesIO()
    writer = Writer(stream)
    writer.tree(tmp_path, "top/")
    writer.close()
    found = _entries(stream.getvalue())
    assert list(found) == ["top/folder", "top/link", "top/folder/program"]
    assert found["top/link"] == (0o120777, b"folder/program")
    assert found["top/folder/program"] == (0o100755, b"#!")


def _tar(*entries: tuple[str, bytes | None]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in entries:
            entry = tarfile.TarInfo(name)
            if data is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data or b""))
    return stream.getvalue()


def test_out_files_come_back(tmp_path: Path) -> None:
    unpack_out(_tar((".", None), ("./a", b"A"), ("./d", None), ("./d/b", b"B")), tmp_path)
    assert (tmp_path / "a").read_bytes() == b"A"
    assert (tmp_path / "d/b").read_bytes() == b"B"


@pytest.mark.parametrize("name", ["../x", "d/../../x", "/x"])
def test_out_files_stay_inside(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(LabError, match="was not taken"):
        unpack_out(_tar((name, b"evil")), inside)
    assert list(tmp_path.iterdir()) == [inside]
    assert list(inside.iterdir()) == []


def test_file_option(tmp_path: Path) -> None:
    source = tmp_path / "a:b"
    source.touch()
    assert parse_file(f"{source}:/there") == (source, "/there")
    for word in (f"{source}", f"{source}:relative", f"{tmp_path}/absent:/there"):
        with pytest.raises(UsageError):
            parse_file(word)


def test_a_new_item_outlives_older_ones_whatever_its_files_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYKVM_LAB_CACHE", str(tmp_path / "cache"))

    def build(into: Path) -> None:
        os.utime(into, (1, 1))  # what unpacking a package leaves

    made = [cache.item("userland", f"number {number}", build) for number in range(4)]
    assert [path.is_dir() for path in made] == [False, False, True, True]
