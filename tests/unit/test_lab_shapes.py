# SPDX-License-Identifier: Apache-2.0
"""Which emulated hosts there are, and how QEMU is asked for one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import cli, scratch, snapshots
from tests.lab.boot import Parts
from tests.lab.emulators import Emulator
from tests.lab.errors import UsageError
from tests.lab.kernels import kernels_in
from tests.lab.machine import BootFiles, Memory, arguments
from tests.lab.shapes import NAMED_SHAPES, TEST_SHAPES, Shape
from tests.lab.sources import mirror_in

FILES = BootFiles(Path("/k/Image"), Path("/k/initrd"))
PARTS = Parts(Path("/k/Image"), (), (), "parts")
QEMU = Emulator(("qemu",), "one")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernel": "six"},
        {"page_size": "64k"},
        {"gic": 5},
        {"gic": 2, "smp": 9},
        {"smp": 0},
        {"memory": "lots"},
        {"memory": "64M"},
        {"icount": True},
        {"drives": ("some",)},
    ],
)
def test_impossible_shapes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--"):
        Shape(**wrong)  # type: ignore[arg-type]


CHANGES: list[dict[str, object]] = [
    {"cpu": "max"},
    {"gic": 2},
    {"smp": 1},
    {"memory": "1G"},
    {"machine_options": ("mte=on",)},
    {"append": ("nohz=off",)},
]


def test_each_option_of_the_machine_has_its_own_snapshot() -> None:
    shapes = [Shape(), *(replace(Shape(), **change) for change in CHANGES)]  # type: ignore[arg-type]
    keys = [snapshots.key(shape, PARTS, QEMU) for shape in shapes]
    keys += [snapshots.key(Shape(), replace(PARTS, key="other"), QEMU)]
    keys += [snapshots.key(Shape(), PARTS, Emulator(("qemu",), "two"))]
    assert len(set(keys)) == len(keys)
    assert snapshots.key(Shape(), PARTS, QEMU) == keys[0]


def test_what_a_snapshot_cannot_hold_boots_cold() -> None:
    assert not any(shape.boots_cold for shape in TEST_SHAPES)
    assert Shape(icount=True, smp=1).boots_cold
    assert Shape(disks=(Path("disk"),)).boots_cold
    assert Shape(devices=("edu",)).boots_cold
    assert Shape(drives=("16M",)).boots_cold


def test_named_hosts_have_a_drive_for_each_disk_and_an_smmu() -> None:
    for shape in NAMED_SHAPES.values():
        wanted = [
            word for device in shape.devices for word in device.split(",") if "drive=" in word
        ]
        assert wanted == [f"drive=drive{number}" for number in range(len(shape.drives))]
        words = " ".join(arguments(shape, FILES, None, [Path("/w/a"), Path("/w/b"), Path("/w/c")]))
        assert "iommu=smmuv3" in words
        assert "-drive file=/w/c,format=raw,if=none,id=drive2" in words


def test_a_named_host_can_be_changed() -> None:
    words = ["run", "--shape", "devices-gicv3", "--kernel", "newest", "--device", "nvme", "--", "x"]
    shape = cli._shape(cli._parser().parse_args(words))
    named = NAMED_SHAPES["devices-gicv3"]
    assert shape == replace(named, kernel="newest", devices=(*named.devices, "nvme"))


def test_each_sector_of_a_scratch_disk_says_its_number(tmp_path: Path) -> None:
    [path] = scratch.make(tmp_path, ["3M"])
    data = path.read_bytes()
    assert len(data) == 3 << 20
    assert data == scratch.contents(0, 3 << 20)
    for sector in (0, 1, 6143):
        assert data[512 * sector :].startswith(b"sector %08x\n" % sector)
    assert scratch.contents(2 << 20, 512) == data[2 << 20 :][:512]


def test_max_computes_pointer_authentication_the_quick_way() -> None:
    assert Shape(cpu="max").cpu_words == "max,pauth-impdef=on"
    assert Shape(cpu="max,sve=off").cpu_words == "max,sve=off,pauth-impdef=on"
    assert Shape(cpu="max,pauth=off").cpu_words == "max,pauth=off"
    assert Shape().cpu_words == "neoverse-n1"


def test_template_and_restored_host_differ_in_sharing_alone() -> None:
    template = arguments(Shape(), FILES, Memory(Path("/m/ram"), shared=True))
    restored = arguments(Shape(), FILES, Memory(Path("/m/ram"), shared=False))
    different = [(a, b) for a, b in zip(template, restored, strict=True) if a != b]
    assert [(a.replace("share=on", "share=off"), b) for a, b in different] == [
        ("memory-backend-file,id=ram,size=2147483648,mem-path=/m/ram,share=off",) * 2
    ]


def test_commas_in_paths_reach_qemu() -> None:
    words = arguments(Shape(), FILES, Memory(Path("/a,b/ram"), shared=True))
    assert any("mem-path=/a,,b/ram," in word for word in words)


def test_counted_hosts_repeat_themselves() -> None:
    words = " ".join(arguments(Shape(icount=True, smp=1), FILES, None))
    for part in ("-icount shift=0,sleep=off", "-seed 1", "dtb-randomness=off", "nokaslr"):
        assert part in words
    assert "-seed" not in " ".join(arguments(Shape(), FILES, None))


def test_kernel_names() -> None:
    names = [
        "linux-image-6.1.0-50-arm64",
        "linux-image-6.12.107+deb13-arm64",
        "linux-image-6.12.107+deb13-arm64-16k",
        "linux-image-7.3.4+deb13-arm64",
        "linux-image-6.12.107+deb13-rt-arm64",
        "linux-image-6.12.107+deb13-cloud-arm64",
        "linux-image-6.12.107+deb13-arm64-unsigned",
        "linux-image-6.12.107+deb13-arm64-dbg",
        "linux-image-arm64",
        "linux-image-arm64-16k",
    ]
    found = kernels_in(names, "suite")
    assert [(k.series, k.page_size) for k in found] == [
        ("6.1", "4k"),
        ("6.12", "4k"),
        ("6.12", "16k"),
        ("7.3", "4k"),
    ]
    assert found[3].numbers > found[1].numbers > found[0].numbers


def test_the_mirror_is_the_archive_itself() -> None:
    def line(uri: str, release: str, component: str = "main") -> str:
        return f"{uri}\t{release}\t{component}\n"

    others = (
        line("http://other/", "nodistro")
        + line("http://security/", "bookworm-security")
        + line("http://vendor/", "noble")
        + line("http://extra/", "bookworm", "contrib")
        + "nonsense\n"
    )
    assert mirror_in(others) is None
    assert mirror_in(others + line("http://mirror/debian/", "bookworm")) == "http://mirror/debian/"
    assert mirror_in("") is None
