# SPDX-License-Identifier: Apache-2.0
"""What is timed. A new row is one entry in ``ROWS``, and a loop in ``baseline.c``.

Every form of a row is a statement over the names that :func:`open_names` yields, the way a user
would write it in a loop, and every one of them fails loudly: an error path is never what is timed.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from pykvm import Cap, EventFd, Kvm, reg_id
from pykvm._native import lib

# The two SPIs are not one: a pin that is driven both ways would keep the other's state.
_LINE_INTID = 40
_IRQFD_INTID = 41


@dataclass(frozen=True)
class Row:
    """One call in the forms that are compared.

    ``ceiling`` is how many times C's cost pykvm's may be. ``standard`` is what one would write with
    the standard library alone, ``ctypes`` the same through ctypes: for interest, never judged.
    """

    name: str
    loop: str
    arguments: tuple[str, ...]
    pykvm: str
    standard: str
    ctypes: str
    ceiling: float | None = None
    arm64_only: bool = True

    @property
    def statements(self) -> dict[str, str]:
        """The forms in Python, by their names in the results."""
        return {"pykvm": self.pykvm, "standard": self.standard, "ctypes": self.ctypes}


ROWS = (
    Row(
        name="plain ioctl",
        ceiling=3.0,
        arm64_only=False,
        loop="check_extension",
        arguments=("kvm_fd", "cap"),
        pykvm="kvm.check_extension(cap)",
        standard="ioctl(kvm_fd, KVM_CHECK_EXTENSION, cap)",
        ctypes="if libc.ioctl(kvm_fd, KVM_CHECK_EXTENSION, cap) < 0: fail()",
    ),
    Row(
        name="irq_line",
        ceiling=2.9,
        loop="irq_line",
        arguments=("vm_fd", "line", "level"),
        pykvm="vm.irq_line(intid, level)",
        standard="ioctl(vm_fd, KVM_IRQ_LINE, pack('=II', line, level))",
        ctypes="if libc.ioctl(vm_fd, KVM_IRQ_LINE, byref(IrqLevel(line, level))) < 0: fail()",
    ),
    Row(
        name="get_one_reg",
        ceiling=2.45,
        loop="get_one_reg",
        arguments=("vcpu_fd", "reg"),
        pykvm="vcpu.get_one_reg(reg)",
        standard="ioctl(vcpu_fd, KVM_GET_ONE_REG, pack('=QQ', reg, address)); value[0]",
        ctypes="if libc.ioctl(vcpu_fd, KVM_GET_ONE_REG, byref(OneReg(reg, address))) < 0: fail()\n"
        "value[0]",
    ),
    Row(
        name="irqfd inject",
        ceiling=2.35,
        loop="eventfd_write",
        arguments=("irqfd_fd",),
        pykvm="irqfd.inject()",
        standard="eventfd_write(irqfd_fd, 1)",
        ctypes="if libc.write(irqfd_fd, byref(one), 8) < 0: fail()",
    ),
    Row(
        name="eventfd signal",
        arm64_only=False,
        loop="eventfd_write",
        arguments=("event_fd",),
        pykvm="event.signal()",
        standard="eventfd_write(event_fd, 1)",
        ctypes="if libc.write(event_fd, byref(one), 8) < 0: fail()",
    ),
)


def rows_here() -> list[Row]:
    """The rows that work on this machine."""
    arm64 = platform.machine() == "aarch64"
    return [row for row in ROWS if arm64 or not row.arm64_only]


class _IrqLevel(ctypes.Structure):
    _fields_ = (("irq", ctypes.c_uint32), ("level", ctypes.c_uint32))


class _OneReg(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint64), ("addr", ctypes.c_uint64))


def _fail() -> NoReturn:
    error = ctypes.get_errno()
    raise OSError(error, os.strerror(error))


def _today() -> dict[str, Any]:
    """What the forms without pykvm need; the request numbers are all that they get from it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
    libc.write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    libc.write.restype = ctypes.c_ssize_t
    requests = ("KVM_CHECK_EXTENSION", "KVM_IRQ_LINE", "KVM_GET_ONE_REG")
    value = array.array("Q", [0])
    return {name: getattr(lib, name) for name in requests} | {
        "libc": libc,
        "fail": _fail,
        "byref": ctypes.byref,
        "IrqLevel": _IrqLevel,
        "OneReg": _OneReg,
        "one": ctypes.c_uint64(1),
        "ioctl": fcntl.ioctl,
        "pack": struct.pack,
        "eventfd_write": os.eventfd_write,
        "value": value,
        "address": value.buffer_info()[0],
    }


@contextmanager
def open_names() -> Iterator[Mapping[str, Any]]:
    """Everything that the statements name: on arm64 a VM with one vCPU and a GIC; nothing runs."""
    with ExitStack() as undo:
        kvm = undo.enter_context(Kvm())
        event = undo.enter_context(EventFd())
        names = {"kvm": kvm, "kvm_fd": kvm.fileno(), "cap": Cap.IRQFD}
        names |= {"event": event, "event_fd": event.fileno(), **_today()}
        if platform.machine() != "aarch64":
            yield names
            return
        vm = undo.enter_context(kvm.create_vm())
        vcpu = undo.enter_context(vm.create_vcpu(0))
        vcpu.arm_vcpu_init()
        vm.create_vgic().init()
        irqfd = undo.enter_context(vm.irqfd(intid=_IRQFD_INTID))
        names |= {"vm": vm, "vm_fd": vm.fileno(), "vcpu": vcpu, "vcpu_fd": vcpu.fileno()}
        names |= {"irqfd": irqfd, "irqfd_fd": irqfd.trigger.fileno(), "reg": reg_id("pc")}
        spi = lib.KVM_ARM_IRQ_TYPE_SPI << lib.KVM_ARM_IRQ_TYPE_SHIFT
        names |= {"intid": _LINE_INTID, "line": spi | _LINE_INTID, "level": 1}
        yield names
        if irqfd.trigger.read():
            raise RuntimeError("KVM did not take the irqfd's signals: injection was not timed")
