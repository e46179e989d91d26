# SPDX-License-Identifier: Apache-2.0
"""Kvm: opening /dev/kvm, adopting a descriptor of it, and asking it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pykvm import (
    Cap,
    ClosedError,
    EventFd,
    Kvm,
    KvmError,
    KvmNotFoundError,
    KvmPermissionError,
    KvmUnsupportedError,
)
from tests.kvm.footprint import descriptors, unchanged
from tests.kvm.processes import forked

_NOBODY = 65534


def test_open_and_close() -> None:
    with unchanged():
        kvm = Kvm()
        assert not os.get_inheritable(kvm.fileno())
        assert repr(kvm) == f"<Kvm fd {kvm.fileno()}>"
        kvm.close()
        kvm.close()
        assert kvm.closed
    assert repr(kvm) == "<Kvm closed>"


@pytest.mark.parametrize("path", ["/dev/kvm", b"/dev/kvm", Path("/dev/kvm")])
def test_a_path_in_any_form(path: str) -> None:
    with Kvm(path) as kvm:
        assert kvm.get_api_version() == 12


@pytest.mark.covers(
    "system KVM_GET_API_VERSION", "system KVM_GET_VCPU_MMAP_SIZE", "system KVM_CHECK_EXTENSION"
)
def test_what_it_answers(kvm: Kvm) -> None:
    assert kvm.get_api_version() == 12
    assert kvm.get_vcpu_mmap_size() >= 4096
    assert kvm.check_extension(Cap.USER_MEMORY) == 1
    assert kvm.check_extension(3) == 1
    assert kvm.check_extension(2**31) == 0
    assert {cap.name: kvm.check_extension(cap) for cap in (Cap.IOEVENTFD, Cap.IRQFD)} == {
        "IOEVENTFD": 1,
        "IRQFD": 1,
    }


def test_no_such_node() -> None:
    with unchanged(), pytest.raises(KvmNotFoundError) as caught:
        Kvm("/dev/no-such-kvm")
    assert isinstance(caught.value, FileNotFoundError)
    assert str(caught.value).startswith("open(path='/dev/no-such-kvm'): No such file or directory")


def test_not_kvm() -> None:
    with unchanged(), pytest.raises(KvmError, match=r"KVM_GET_API_VERSION.*is not /dev/kvm"):
        Kvm("/dev/null")


def test_a_directory() -> None:
    with unchanged(), pytest.raises(KvmError, match=r"open.*EISDIR"):
        Kvm("/dev")


def test_not_allowed() -> None:
    """As an ordinary user who is in no group."""

    def child() -> str:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        with pytest.raises(KvmPermissionError) as caught:
            Kvm(denied)
        assert isinstance(caught.value, PermissionError)
        return str(caught.value)

    denied = "/dev/kvm"
    if os.geteuid() != 0 or Path(denied).stat().st_mode & stat.S_IWOTH:
        denied = "/proc/1/mem"  # one that everybody but root is denied
    assert "usermod -aG kvm" in forked(child)


@pytest.mark.parametrize(("minor", "words"), [(None, "no /dev/kvm"), (250, "no driver|not loaded")])
def test_a_dev_without_kvm(tmp_path: Path, minor: int | None, words: str) -> None:
    """In a root directory of its own, where /dev/kvm is missing, or a node without a driver."""
    (tmp_path / "dev").mkdir()

    def child() -> tuple[int, int, str]:
        if minor is not None:
            os.mknod(tmp_path / "dev/kvm", stat.S_IFCHR | 0o666, os.makedev(10, minor))
        os.chroot(tmp_path)
        try:
            os.open("/dev/kvm", os.O_RDWR)
        except OSError as cause:
            expected = cause.errno or 0
        with pytest.raises(KvmError) as caught:
            Kvm()
        return expected, caught.value.errno or 0, str(caught.value)

    expected, error, said = forked(child)
    assert error == expected
    assert errno.errorcode[error] in said
    if error == errno.EACCES:  # a file system that is mounted without devices
        words = "You may not open it"
    assert any(word in said for word in words.split("|"))


def test_adopt(kvm: Kvm) -> None:
    with unchanged():
        with Kvm.adopt(kvm.fileno()) as by_number, Kvm.adopt(kvm) as by_object:
            assert len({kvm.fileno(), by_number.fileno(), by_object.fileno()}) == 3
            assert by_number.get_api_version() == by_object.get_api_version() == 12
        assert kvm.get_api_version() == 12


def test_adopt_what_is_not_kvm(kvm: Kvm) -> None:
    with kvm.create_vm() as vm, vm.create_vcpu(0) as vcpu, EventFd() as eventfd:
        for foreign, what in (vm, "kvm-vm"), (vcpu, "kvm-vcpu:0"), (eventfd, "[eventfd]"):
            with unchanged(), pytest.raises(ValueError) as caught:
                Kvm.adopt(foreign)
            assert what in str(caught.value)
    with open("/dev/null") as null, unchanged(), pytest.raises(KvmError, match="not /dev/kvm"):
        Kvm.adopt(null)


def test_adopt_the_closed() -> None:
    kvm = Kvm()
    number = kvm.fileno()
    kvm.close()
    assert number not in descriptors()
    with pytest.raises(ClosedError, match="this Kvm is closed"):
        Kvm.adopt(kvm)
    with pytest.raises(ValueError, match=f"descriptor {number} is not open"):
        Kvm.adopt(number)


def test_vms_outlive_it() -> None:
    with Kvm() as kvm:
        vm = kvm.create_vm()
    assert vm.check_extension(Cap.USER_MEMORY) == 1
    vm.close()
    with pytest.raises(ClosedError, match="this Kvm is closed"):
        kvm.create_vm()


def test_addresses_of_a_width_that_no_host_has(kvm: Kvm) -> None:
    with unchanged(), pytest.raises(KvmError, match=r"KVM_CREATE_VM.*ipa_bits=255"):
        kvm.create_vm(ipa_bits=255)


@pytest.mark.needs("x86_64")
def test_a_width_of_addresses_is_not_taken_for_a_kind_of_vm(kvm: Kvm) -> None:
    with unchanged(), pytest.raises(KvmUnsupportedError, match=r"x86_64.*Nothing was sent"):
        kvm.create_vm(ipa_bits=1)


@pytest.mark.needs("arm64")
def test_the_widest_addresses(kvm: Kvm) -> None:
    with kvm.create_vm(ipa_bits=kvm.check_extension(Cap.ARM_VM_IPA_SIZE) or 40) as vm:
        assert not vm.closed
