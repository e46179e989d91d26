# SPDX-License-Identifier: Apache-2.0
"""What the statements of the rows name: machines, memory, and the tools of the rivals."""

from __future__ import annotations

import array
import ctypes
import fcntl
import mmap
import os
import random
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from tinyvm import vgic_frames

import pykvm
from pykvm import Cap, EventFd, GuestMemory, Kvm, MmioWrite, RegisterSet, Vcpu, reg_id
from pykvm._native import ffi, lib
from tests.bench.rows import DENSITIES, RING, RINGS_OF_THE_BELL, SIZES, STORES
from tests.kvm.machines import ARM64, DOORBELL_GPA, KNOCK, MEMORY_GPA, SECOND_GPA, Guest, Machine

# The two SPIs are not one: a pin that is driven both ways would keep the other's state.
_LINE_INTID = 40
_IRQFD_INTID = 41
_BELL_INTID = 42
_PAGES = 1 << 20  # of 4 KiB: 4 GiB


class _IrqLevel(ctypes.Structure):
    _fields_ = (("irq", ctypes.c_uint32), ("level", ctypes.c_uint32))


class _OneReg(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint64), ("addr", ctypes.c_uint64))


class _DeviceAttr(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint32), ("group", ctypes.c_uint32), ("attr", ctypes.c_uint64),
        ("addr", ctypes.c_uint64),
    )  # fmt: skip


class _Run(ctypes.Structure):
    _fields_ = (
        ("head", ctypes.c_uint8 * 8), ("exit_reason", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 20), ("gpa", ctypes.c_uint64), ("data", ctypes.c_uint8 * 8),
        ("size", ctypes.c_uint32), ("is_write", ctypes.c_uint8),
    )  # fmt: skip


def _fail() -> NoReturn:
    error = ctypes.get_errno()
    raise OSError(error, os.strerror(error) if error else "the call did not do what is timed")


def _address(buffer: Any) -> int:
    return int(ffi.cast("uintptr_t", ffi.from_buffer(buffer)))


def _write(offset: int, size: int, value: int) -> None:
    """The same as a range's handler."""


def _device(gpa: int, data: bytes) -> None:
    """A device model that does nothing."""


def drained(page: memoryview, offset: int) -> list[tuple[int, bytes]]:
    """The stores that wait in a ring, in Python alone; nobody else drains it."""
    first, last = struct.unpack_from("=II", page, offset)
    stores = []
    while first != last:
        gpa, size, data = struct.unpack_from("=QI4x8s", page, offset + 8 + 24 * first)
        stores.append((gpa, data[:size]))
        first = (first + 1) % RING
    struct.pack_into("=I", page, offset, first)
    return stores


def list_pages(bitmap: Any) -> list[int]:
    """The numbers of dirty pages in Python, word by word: the quickest of the plain ways."""
    pages = []
    for place, word in enumerate(memoryview(bitmap).cast("Q")):
        while word:
            lowest = word & -word
            pages.append(64 * place + lowest.bit_length() - 1)
            word ^= lowest
    return pages


def _bitmap(density: str) -> bytearray:
    """A bitmap of 4 GiB, always the same."""
    dice = random.Random(density)  # noqa: S311 - nothing secret
    wanted = round(_PAGES * float(density.split()[0]) / 100)
    if wanted == _PAGES:
        return bytearray(b"\xff" * (_PAGES // 8))
    made = bytearray(_PAGES // 8)
    length = 128 if density.endswith("in runs") else 1
    for first in dice.sample(range(0, _PAGES, length), wanted // length):
        for page in range(first, first + length):
            made[page // 8] |= 1 << page % 8
    return made


def _today() -> dict[str, Any]:
    """What the forms without pykvm need; the request numbers are all that they get from it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
    libc.write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
    libc.write.restype = ctypes.c_ssize_t
    requests = (
        "KVM_CHECK_EXTENSION", "KVM_IRQ_LINE", "KVM_GET_ONE_REG", "KVM_SET_ONE_REG",
        "KVM_GET_DEVICE_ATTR", "KVM_RUN",
    )  # fmt: skip
    value = array.array("Q", [0])
    address = value.buffer_info()[0]
    get, set_ = lib.KVM_GET_ONE_REG, lib.KVM_SET_ONE_REG

    def read_register(fd: int, reg: int) -> int:
        fcntl.ioctl(fd, get, struct.pack("=QQ", reg, address))
        return value[0]

    def write_register(fd: int, reg: int, number: int) -> None:
        value[0] = number
        fcntl.ioctl(fd, set_, struct.pack("=QQ", reg, address))

    return {name: getattr(lib, name) for name in requests} | {
        "libc": libc,
        "fail": _fail,
        "byref": ctypes.byref,
        "memmove": ctypes.memmove,
        "string_at": ctypes.string_at,
        "IrqLevel": _IrqLevel,
        "OneReg": _OneReg,
        "DeviceAttr": _DeviceAttr,
        "one": ctypes.c_uint64(1),
        "ioctl": fcntl.ioctl,
        "pack": struct.pack,
        "unpack_from": struct.unpack_from,
        "eventfd_write": os.eventfd_write,
        "read_register": read_register,
        "write_register": write_register,
        "list_pages": list_pages,
        "drained": drained,
        "device": _device,
        "value": value,
        "address": address,
    }


def _wrappers() -> dict[str, Any]:
    """What the bound forms call: the compiled module itself."""
    functions = (
        "check_extension", "spi_line", "get_one_reg", "set_one_reg", "get_registers",
        "get_attr_number", "gate_signal", "vcpu_run", "vcpu_go_on",
    )  # fmt: skip
    found = {name: getattr(lib, name) for name in functions}
    return found | {"unpack": ffi.unpack, "stored": struct.Struct("=QQQ").unpack_from}


def _run_names(name: str, vcpu: Vcpu, undo: ExitStack) -> dict[str, Any]:
    """A vCPU in every form."""
    page = undo.enter_context(vcpu.kvm_run)
    return {
        name: vcpu,
        f"{name}_fd": vcpu.fileno(),
        f"{name}_context": vcpu._context,
        f"{name}_access": vcpu._access,
        f"{name}_run": _address(page),
        f"{name}_page": page,
        f"{name}_struct": _Run.from_address(_address(page)),
    }


def _memory_names(undo: ExitStack) -> dict[str, Any]:
    largest = max(SIZES)
    memory = undo.enter_context(GuestMemory(largest))
    whole = undo.enter_context(memory.view())
    source, target = bytes(range(256)) * (largest // 256), bytearray(largest)
    room = mmap.mmap(-1, largest)
    memory.write(0, source)  # touched: no form pays for the first time
    room[:] = source
    names = {
        "memory": memory,
        "memory_address": _address(whole),
        "source_address": _address(source),
        "target_address": _address(target),
        "room": room,
        "room_address": _address(room),
        "keep": (source, target),
    }
    for size in SIZES:
        names[f"size_{size}"] = size
        names[f"source_{size}"] = source[:size]
        names[f"view_{size}"] = undo.enter_context(whole[:size])
        names[f"target_{size}"] = memoryview(target)[:size]
    return names


def _bitmap_names() -> dict[str, Any]:
    bitmaps = {density: _bitmap(density) for density in DENSITIES}
    pages = array.array("I", bytes(4 * _PAGES))
    names = {f"bitmap_address {density}": _address(made) for density, made in bitmaps.items()}
    return names | {
        "bitmaps": bitmaps,
        "bitmap_runs": pykvm.bitmap_runs,
        "bitmap_pages": pykvm.bitmap_pages,
        "bitmap_words": _PAGES // 64,
        "pages": pages,
        "pages_address": pages.buffer_info()[0],
    }


def _arm64_names(kvm: Kvm, undo: ExitStack) -> dict[str, Any]:
    """A VM with one vCPU and a GIC, in which nothing runs."""
    vm = undo.enter_context(kvm.create_vm())
    vcpu = undo.enter_context(vm.create_vcpu(0))
    vcpu.arm_vcpu_init()
    vgic = vm.create_vgic()
    vgic_frames(vgic)
    vgic.init()
    irqfd = undo.enter_context(vm.irqfd(intid=_IRQFD_INTID))
    spi = lib.KVM_ARM_IRQ_TYPE_SPI << lib.KVM_ARM_IRQ_TYPE_SHIFT
    regs = RegisterSet([*(f"x{n}" for n in range(31)), "sp"])
    block = regs._take()
    ids, values = array.array("Q", regs.ids), array.array("Q", [1] * len(regs))
    dist = lib.KVM_VGIC_V3_ADDR_TYPE_DIST if vgic.version == 3 else lib.KVM_VGIC_V2_ADDR_TYPE_DIST
    return {
        "vm": vm, "vm_fd": vm.fileno(), "vcpu": vcpu, "vcpu_fd": vcpu.fileno(),
        "irqfd": irqfd, "irqfd_fd": irqfd.trigger.fileno(), "irqfd_gate": irqfd.trigger._gate,
        "intid": _LINE_INTID, "line": spi | _LINE_INTID, "level": 1,
        "reg": reg_id("pc"), "number": 1,
        "registers": regs, "block": block[0], "block_values": block[1],
        "block_kept": block,
        "ids": regs.ids, "ids_kept": ids, "ids_address": ids.buffer_info()[0],
        "ids_count": len(regs), "numbers": [1] * len(regs),
        "values_kept": values, "values_address": values.buffer_info()[0],
        "vgic": vgic, "vgic_fd": vgic.fileno(),
        "attr_group": lib.KVM_DEV_ARM_VGIC_GRP_ADDR, "attr": dist,
    }  # fmt: skip


def _storing(undo: ExitStack, stores: int = STORES) -> Machine:
    """A guest that makes so many stores at the doorbell, then one elsewhere, for ever."""
    # mov cx, #stores; 1: mov [0x1000], al; loop 1b; mov [0x1100], al; jmp to the start
    x86 = f"b9 {stores % 256:02x} {stores // 256:02x} a2 00 10 e2 fb a2 00 11 eb f3"
    # mov x4, #stores; 1: str w2, [x0]; subs x4, x4, #1; b.ne 1b; str w2, [x1]; b to the start
    code = (0xD2800004 | stores << 5, 0xB9000002, 0xF1000484, 0x54FFFFC1, 0xB9000022, 0x17FFFFFB)
    machine = undo.enter_context(Machine(Guest(x86, ())))
    if ARM64:  # too long for its usual place
        machine.memory.write(0, struct.pack(f"<{len(code)}I", *code))
        machine.vcpu.set_one_reg("pc", MEMORY_GPA)
    return machine


def _range_names(undo: ExitStack) -> dict[str, Any]:
    """Guests whose stores run() serves: by a handler, in C, and by a handler out of a ring."""
    names: dict[str, Any] = {"last_gpa": SECOND_GPA}
    for name in "handled", "latched", "ringed":
        machine = _storing(undo)
        if name == "handled":
            machine.vm.mmio_handler(DOORBELL_GPA, 8, write=_write)
            names["handlers"] = machine.vm._core.bus.stores
        elif name == "latched":
            machine.vm.mmio_latch(DOORBELL_GPA, 8)
        else:
            machine.vm.mmio_ring(DOORBELL_GPA, 8, _write, capacity=STORES)
        names |= _run_names(name, machine.vcpu, undo)
    return names


def _bell_names(undo: ExitStack) -> dict[str, Any]:
    """A guest whose stores become interrupts without leaving the kernel."""
    machine = _storing(undo, RINGS_OF_THE_BELL)
    vgic = machine.vm.create_vgic()
    vgic_frames(vgic)
    vgic.init()
    with EventFd() as bell:
        machine.vm.ioeventfd(DOORBELL_GPA, 4, eventfd=bell)
        machine.vm.irqfd(intid=_BELL_INTID, eventfd=bell)
    return _run_names("bell", machine.vcpu, undo)


def _coalesced_names(undo: ExitStack) -> dict[str, Any]:
    """A guest whose stores wait in KVM's ring, and then come to a handler."""
    machine = _storing(undo)
    machine.vm.mmio_handler(DOORBELL_GPA, 8, write=_write)
    machine.vm.register_coalesced_mmio(DOORBELL_GPA, 8)
    names = _run_names("coal", machine.vcpu, undo)
    offset = mmap.PAGESIZE * machine.kvm.check_extension(Cap.COALESCED_MMIO)
    names |= {"coal_offset": offset, "coal_ring_address": names["coal_run"] + offset}
    return names | {"coal_length": RING}


@contextmanager
def open_names() -> Iterator[Mapping[str, Any]]:
    """Everything that the statements name."""
    names: dict[str, Any]
    with ExitStack() as undo:
        kvm = undo.enter_context(Kvm())
        event = undo.enter_context(EventFd())
        knock = undo.enter_context(Machine(KNOCK))
        names = {"kvm": kvm, "kvm_fd": kvm.fileno(), "cap": Cap.IRQFD}
        names |= {
            "MmioWrite": MmioWrite,
            "event": event,
            "event_fd": event.fileno(),
            **_today(),
            **_wrappers(),
        }
        names |= _run_names("knock", knock.vcpu, undo) | _coalesced_names(undo)
        names |= _range_names(undo)
        names |= _memory_names(undo) | _bitmap_names()
        if ARM64:
            names |= _arm64_names(kvm, undo) | _bell_names(undo)
        yield names
        if "irqfd" in names and names["irqfd"].trigger.read():
            raise RuntimeError("KVM did not take the irqfd's signals: injection was not timed")
