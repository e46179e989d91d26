# SPDX-License-Identifier: Apache-2.0
"""The probe on a host with KVM, and on the same host where something stands in its way."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pykvm import Cap, Kvm
from pykvm.probe import Capability, Gap, Report, collect
from pykvm.probe.hostfacts import host_facts
from tests.kvm.footprint import unchanged
from tests.kvm.processes import PATIENCE, forked

pytestmark = pytest.mark.binding

_NOBODY = 65534
#: A group that no host has.
_STRANGERS = 54321

Node = Callable[..., Path]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Makes KVM's node once more, with other permissions, where an ordinary user can reach it."""
    folder = tmp_path
    while folder != folder.parent and folder.stat().st_uid == os.geteuid():
        folder.chmod(folder.stat().st_mode | stat.S_IXGRP | stat.S_IXOTH)
        folder = folder.parent

    def make(mode: int, group: int = 0, minor: int | None = None) -> Path:
        path = tmp_path / "kvm"
        number = Path("/dev/kvm").stat().st_rdev
        os.mknod(path, stat.S_IFCHR, number if minor is None else os.makedev(10, minor))
        os.chown(path, 0, group)
        path.chmod(mode)
        return path

    return make


def become_nobody(*groups: int) -> None:
    os.setgroups(groups)
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def opens_as_nobody(path: Path, *groups: int) -> bool:
    """Whether an ordinary user who is in these groups can use the node."""

    def child() -> bool:
        become_nobody(*groups)
        with Kvm(path) as kvm:
            return kvm.get_api_version() == 12

    return bool(forked(child))


def as_nobody(path: Path, *groups: int) -> Report:
    """What the probe tells an ordinary user who is in these groups."""

    def child() -> str:
        become_nobody(*groups)
        return collect(str(path)).to_json()

    return Report.from_json(forked(child))


def gap(told: Report, name: str) -> Gap:
    """What is missing by that name."""
    (found,) = [gap for gap in told.gaps if gap.name == name]
    return found


def in_namespace(*mounts: str) -> Report:
    """What the command says after these mounts, which nobody else sees."""
    command = f"exec {sys.executable} -m pykvm probe --json"
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", "; ".join([*mounts, command])],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    return Report.from_json(ended.stdout)


@pytest.fixture(scope="module")
def told() -> Report:
    with unchanged():
        return collect()


def test_what_a_host_with_kvm_tells(told: Report) -> None:
    facts = told.facts
    assert (facts["kvm"].value, facts["vm"].value, facts["vcpu"].value) == (True, True, True)
    assert facts["api_version"].value == 12
    assert facts["irqfd"].yes
    assert facts["irqfd_resample"].yes
    assert [fact for fact in facts.values() if fact.state == "failed"] == []
    assert {cap.number for cap in told.capabilities} >= set(Cap)
    with Kvm() as kvm:
        assert facts["memory_slots"].value == kvm.check_extension(Cap.NR_MEMSLOTS)
    assert Report.from_json(told.to_json()) == told


def test_it_tells_what_the_calls_answer(told: Report) -> None:
    caps = {cap.number: cap for cap in told.capabilities}
    assert caps[Cap.IRQFD].meaning == Cap.IRQFD.__doc__
    with Kvm() as kvm, kvm.create_vm() as vm:
        for number in (Cap.NR_MEMSLOTS, Cap.IRQFD, Cap.MAX_VCPUS, Cap.ARM_SVE):
            entry: Capability = caps[number]
            assert (entry.system.value or 0) == kvm.check_extension(number)
            assert (entry.vm.value or 0) == vm.check_extension(number)


@pytest.mark.needs("x86_64")
def test_the_neutral_half() -> None:
    told = collect(selftest=True)
    assert "x86_64" in gap(told, "arm64").what
    for name in ("gicv3", "sve", "ipa_bits", "el2"):
        assert told.facts[name].state == "no"
        assert "x86_64" in told.reason(name).why
    assert (told.registers, told.vcpu_features) == ((), ())
    assert {(part.result, "x86_64" in part.why) for part in told.selftest or ()} == {
        ("impossible", True)
    }


@pytest.mark.needs("x86_64")
def test_numbers_that_have_no_name_here_are_told_where_they_answer(told: Report) -> None:
    unnamed = [cap for cap in told.capabilities if cap.name is None]
    assert unnamed
    assert all(cap.system.yes or cap.vm.yes for cap in unnamed)


def test_no_node_of_that_name_but_kvm_s_own() -> None:
    found = gap(collect("/dev/no-such-kvm"), "node")
    assert "/dev/kvm" in found.why
    assert "/dev/kvm" in found.remedy


def test_a_dev_without_kvm() -> None:
    told = in_namespace("mount -t tmpfs none /dev")
    assert not told.facts["kvm"].yes
    found = gap(told, "node")
    assert found.what == "There is no /dev/kvm, though this kernel has KVM."
    assert "--device /dev/kvm" in found.remedy


def test_a_dev_without_kvm_and_nothing_to_learn_from() -> None:
    told = in_namespace("mount -t tmpfs none /dev", "mount -t tmpfs none /proc")
    found = gap(told, "node")
    assert found.what == "There is no /dev/kvm."
    assert "kernel lacks KVM, or (in a container)" in found.why


def test_a_file_system_without_devices() -> None:
    told = in_namespace(
        "mount -t tmpfs -o nodev none /dev", "mknod /dev/kvm c 10 232", "chmod 666 /dev/kvm"
    )
    assert "mounted with nodev" in gap(told, "permission").why


def test_a_node_without_a_driver(node: Node) -> None:
    found = gap(collect(str(node(0o666, minor=250))), "node")
    assert "no KVM behind it" in found.what
    assert "mknod" in found.remedy


def test_a_group_to_join(node: Node) -> None:
    path = node(0o660, _STRANGERS)
    found = gap(as_nobody(path), "permission")
    assert f"{_STRANGERS}, mode 0660" in found.why
    assert found.remedy.startswith(f"sudo usermod -aG {_STRANGERS} ")


def test_no_group_to_join(node: Node) -> None:
    path = node(0o600)
    found = gap(as_nobody(path), "permission")
    assert "root:root, mode 0600" in found.why
    assert f"sudo chown root:kvm {path} && sudo chmod 0660 {path}" in found.remedy


def test_a_group_that_may_only_read(node: Node) -> None:
    found = gap(as_nobody(node(0o640, _STRANGERS), _STRANGERS), "permission")
    assert "sudo chmod 0660" in found.remedy


@pytest.mark.parametrize(("mode", "groups"), [(0o660, (_STRANGERS,)), (0o666, ())])
def test_an_ordinary_user_who_may(node: Node, mode: int, groups: tuple[int, ...]) -> None:
    assert opens_as_nobody(node(mode, _STRANGERS), *groups)


def test_a_session_older_than_the_membership(node: Node, tmp_path: Path) -> None:
    """In a namespace whose list of groups has the user already."""
    path = node(0o660, _STRANGERS)
    groups = tmp_path / "group"
    groups.write_text(f"root:x:0:\nstrangers:x:{_STRANGERS}:nobody\n", encoding="ascii")
    users = tmp_path / "passwd"
    accounts = f"root:x:0:0::/root:/bin/sh\nnobody:x:{_NOBODY}:{_NOBODY}::/:/bin/false\n"
    users.write_text(accounts, encoding="ascii")
    script = (
        "import json, os\nfrom pykvm.probe import Capability, Gap, Report, collect\n"
        f"os.setgroups([]); os.setgid({_NOBODY}); os.setuid({_NOBODY})\n"
        f"print(collect({str(path)!r}).to_json())\n"
    )
    ended = subprocess.run(
        [
            "unshare", "--mount", "sh", "-ec",
            'mount --bind "$1" /etc/group; mount --bind "$2" /etc/passwd; exec "$3" -c "$4"',
            "sh", groups, users, sys.executable, script,
        ],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = gap(Report.from_json(ended.stdout), "permission")
    assert "root:strangers, mode 0660; you are nobody" in found.why
    assert "newgrp strangers" in found.remedy


def test_a_node_that_is_something_else() -> None:
    told = in_namespace("mount --bind /dev/null /dev/kvm")
    assert told.facts["kvm"].state == "failed"
    assert told.gaps[-1].what == "/dev/kvm cannot be used: Inappropriate ioctl for device."
    assert "This descriptor is not /dev/kvm." in told.gaps[-1].why


def test_who_else_may_use_the_node(node: Node) -> None:
    """An ACL as udev gives one to whoever sits at the machine."""
    path = node(0o660)
    entries = ((0x01, 6, 2**32 - 1), (0x02, 6, _NOBODY), (0x04, 6, 2**32 - 1),
               (0x10, 6, 2**32 - 1), (0x20, 0, 2**32 - 1))  # fmt: skip
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", data)
    except OSError as refusal:
        assert refusal.errno == errno.EOPNOTSUPP  # noqa: PT017 - of the file system
        return
    assert opens_as_nobody(path)
    assert host_facts(str(path))["node_acl"].value == (f"user:{_NOBODY}:rw-",)
