# SPDX-License-Identifier: Apache-2.0
"""ioctl(): the way to what has no method, with the few checks that can be made."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from pykvm import VM, ClosedError, Kvm, KvmError
from tests.kvm.footprint import unchanged
from tests.kvm.machines import KNOCK, Machine

_CHECK_EXTENSION = 0xAE03
_RUN = 0xAE80
_SET_USER_MEMORY_REGION = 0x4020AE46
_GET_MP_STATE = 0x8004AE98


def test_a_number_as_argument(vm: VM) -> None:
    assert vm.ioctl(_CHECK_EXTENSION, 3) == 1
    assert vm.ioctl(_CHECK_EXTENSION) in (0, 1)


def test_a_buffer_that_the_kernel_fills(machine: Callable[..., Machine]) -> None:
    vcpu = machine(KNOCK).vcpu
    data = bytearray(b"\xee" * 8)
    assert vcpu.ioctl(_GET_MP_STATE, data) == 0
    assert data == bytes(4) + b"\xee" * 4  # RUNNABLE, and not a byte too much
    view = memoryview(bytearray(b"\xee" * 12))
    vcpu.ioctl(_GET_MP_STATE, view[4:8])
    assert bytes(view) == b"\xee" * 4 + bytes(4) + b"\xee" * 4


@pytest.mark.parametrize(
    ("request_number", "argument", "error", "words"),
    [
        (_SET_USER_MEMORY_REGION, bytearray(31), ValueError, "moves 32 bytes, its argument has 31"),
        (_SET_USER_MEMORY_REGION, bytearray(), ValueError, "moves 32 bytes, its argument has 0"),
        (_SET_USER_MEMORY_REGION, bytes(32), TypeError, "must be writable"),
        (_SET_USER_MEMORY_REGION, 0, TypeError, "moves 32 bytes: its argument must be a writable"),
        (_SET_USER_MEMORY_REGION, "region", TypeError, "argument must be bytes or another"),
        (_SET_USER_MEMORY_REGION, None, TypeError, "argument must be bytes or another"),
        (_SET_USER_MEMORY_REGION, memoryview(bytearray(64))[::2], TypeError, "contiguous"),
        (_RUN, 0, ValueError, r"Vcpu.run\(\)"),
        (-1, 0, ValueError, "request is -0x1"),
        (2**32, 0, ValueError, "request is 0x100000000"),
        ("KVM_RUN", 0, TypeError, "request must be an int"),
        (_CHECK_EXTENSION, -1, ValueError, "argument is -0x1"),
        (_CHECK_EXTENSION, 2**64, ValueError, "argument is 0x1"),
        (_CHECK_EXTENSION, True, TypeError, "argument must be an int"),
        (_CHECK_EXTENSION, 1.5, TypeError, "argument must be bytes or another"),
    ],
)
def test_bad_arguments(
    vm: VM, request_number: int, argument: int, error: type[Exception], words: str
) -> None:
    with vm.create_vcpu(0) as vcpu, unchanged():
        for call in vm.ioctl, vcpu.ioctl:
            with pytest.raises(error, match=words):
                call(request_number, argument)


def test_the_buffer_is_free_again(vm: VM) -> None:
    data = bytearray(b"\xff" * 32)
    with pytest.raises(KvmError, match=r"ioctl\(request=0x4020ae46\)"):
        vm.ioctl(_SET_USER_MEMORY_REGION, data)
    data.append(0)  # would be a BufferError while something holds it


def test_a_request_that_does_not_exist(vm: VM) -> None:
    with pytest.raises(KvmError) as caught:
        vm.ioctl(0xAEFF)
    assert caught.value.errno in (errno.EINVAL, errno.ENOTTY)
    assert caught.value.arguments == {"request": 0xAEFF}


def test_after_close(kvm: Kvm) -> None:
    vm = kvm.create_vm()
    vcpu = vm.create_vcpu(0)
    vm.close()
    for call, what in (vm.ioctl, "VM"), (vcpu.ioctl, "Vcpu 0"):
        with pytest.raises(ClosedError, match=f"this {what} is closed"):
            call(_CHECK_EXTENSION, 3)
