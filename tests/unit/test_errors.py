# SPDX-License-Identifier: Apache-2.0
"""Errors: their classes, what they say, and that they survive copying and pickling."""

from __future__ import annotations

import copy
import errno
import os
import pickle

import pytest

from pykvm import (
    Cap,
    ClosedError,
    KvmBusyError,
    KvmError,
    KvmExistsError,
    KvmNotFoundError,
    KvmPermissionError,
    KvmUnsupportedError,
    KvmWouldBlockError,
)
from pykvm._native import lib
from pykvm.errors import failure, kvm_error, naming


@pytest.mark.parametrize(
    ("number", "kind", "builtin"),
    [
        (errno.EPERM, KvmPermissionError, PermissionError),
        (errno.EACCES, KvmPermissionError, PermissionError),
        (errno.ENOENT, KvmNotFoundError, FileNotFoundError),
        (errno.EEXIST, KvmExistsError, FileExistsError),
        (errno.EAGAIN, KvmWouldBlockError, BlockingIOError),
        (errno.EBUSY, KvmBusyError, OSError),
        (errno.EINVAL, KvmError, OSError),
        (4000, KvmError, OSError),
    ],
)
def test_classes(number: int, kind: type[KvmError], builtin: type[OSError]) -> None:
    error = kvm_error(number, "KVM_CREATE_VM")
    assert type(error) is kind
    assert isinstance(error, builtin)
    assert (error.errno, error.strerror) == (number, os.strerror(number))


def test_what_it_says() -> None:
    error = kvm_error(errno.EEXIST, "KVM_IOEVENTFD", gpa=0x1000, size=4, datamatch=None, fd=5)
    assert str(error) == (
        "KVM_IOEVENTFD(gpa=0x1000, size=0x4, datamatch=None, fd=5): File exists [EEXIST]. Another "
        "ioeventfd covers this address: the same size with the same value or with any value, or "
        "one of size 0."
    )
    assert error.arguments == {"gpa": 0x1000, "size": 4, "datamatch": None, "fd": 5}
    assert error.ioctl == "KVM_IOEVENTFD"
    assert error.hint.startswith("Another ioeventfd")


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"hva": 2**40}, "hva=0x10000000000"),
        ({"reg_id": 16, "reg": "pc"}, "reg_id=0x10, reg='pc'"),
        ({"cap": Cap.IRQFD}, "cap=32"),
        ({"flags": True}, "flags=True"),
        ({"vcpus": [0, 1]}, "vcpus=[0, 1]"),
        ({}, ""),
    ],
)
def test_how_arguments_are_shown(arguments: dict[str, object], shown: str) -> None:
    assert str(kvm_error(errno.EDOM, "KVM_X", **arguments)).startswith(f"KVM_X({shown}): ")


def test_without_a_hint_and_with_an_errno_that_nobody_knows() -> None:
    assert str(kvm_error(4000, "KVM_X")) == f"KVM_X(): {os.strerror(4000)} [4000]"


@pytest.mark.parametrize(
    "error",
    [
        kvm_error(errno.EBUSY, "KVM_IRQFD", gsi=8),
        kvm_error(errno.EACCES, "open", path="/dev/kvm"),
        KvmUnsupportedError(errno.EOPNOTSUPP, "KVM_IRQ_LINE", {"intid": 40}, "A hint."),
        ClosedError("KVM_RUN: this Vcpu 0 is closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_copies(error: Exception) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_a_closed_object_is_a_value_error() -> None:
    assert issubclass(ClosedError, ValueError)
    assert not issubclass(ClosedError, OSError)


def test_failures_of_wrappers() -> None:
    closed = failure(-errno.EBADF, "KVM_RUN", "Vcpu 0", -1)
    assert isinstance(closed, ClosedError)
    assert str(closed) == "KVM_RUN: this Vcpu 0 is closed"
    assert isinstance(failure(lib.PYKVM_CLOSED, "KVM_RUN", "Vcpu 0", 5), ClosedError)
    inside = failure(lib.PYKVM_INSIDE, "KVM_RUN", "Vcpu 0", 5, vcpu_id=0)
    assert isinstance(inside, KvmBusyError)
    assert "kick() it out" in str(inside)
    foreign = failure(lib.PYKVM_NOT_ARM64, "KVM_IRQ_LINE", "VM", 5, intid=40)
    assert isinstance(foreign, KvmUnsupportedError)
    assert os.uname().machine in str(foreign)
    assert "Nothing was sent to the kernel" in str(foreign)
    open_still = failure(-errno.EBADF, "KVM_IRQFD", "VM", 5, fd=77)
    assert type(open_still) is KvmError  # the caller's descriptor is bad, not the VM's


def test_naming_an_error_of_pythons_own() -> None:
    with pytest.raises(KvmError) as caught, naming("mmap", size=4096):
        os.close(2**31 - 1)
    assert (caught.value.errno, caught.value.ioctl) == (errno.EBADF, "mmap")
    assert caught.value.__cause__ is None
    with pytest.raises(KvmBusyError) as kept, naming("outer"):
        raise kvm_error(errno.EBUSY, "inner")
    assert kept.value.ioctl == "inner"
    with pytest.raises(ValueError, match="as it was"), naming("mmap"):
        raise ValueError("as it was")
