# SPDX-License-Identifier: Apache-2.0
"""What is timed: a row is an entry here, its names in ``names.py``, a loop in ``baseline.c``."""

from __future__ import annotations

import mmap
import platform

from tests.bench.row import Row

_CALLS = (
    Row(
        name="plain ioctl",
        ceiling=3.0,
        bound_ceiling=2.3,
        wrapper="check_extension",
        arm64_only=False,
        loop="check_extension",
        arguments=("kvm_fd", "cap"),
        pykvm="kvm.check_extension(cap)",
        bound="check_extension(kvm_fd, cap)",
        standard="ioctl(kvm_fd, KVM_CHECK_EXTENSION, cap)",
        ctypes="if libc.ioctl(kvm_fd, KVM_CHECK_EXTENSION, cap) < 0: fail()",
    ),
    Row(
        name="irq_line",
        ceiling=2.9,
        bound_ceiling=1.75,
        missed=(
            (
                "bound",
                "three arguments, for which cffi makes a tuple and unpacks it again: some 500 "
                "instructions more than for one, which would be a structure to be kept by somebody",
            ),
        ),
        wrapper="spi_line",
        loop="irq_line",
        arguments=("vm_fd", "line", "level"),
        pykvm="vm.irq_line(intid, level)",
        bound="spi_line(vm_fd, intid, level)",
        standard="ioctl(vm_fd, KVM_IRQ_LINE, pack('=II', line, level))",
        ctypes="if libc.ioctl(vm_fd, KVM_IRQ_LINE, byref(IrqLevel(line, level))) < 0: fail()",
    ),
    Row(
        name="get_one_reg",
        ceiling=2.45,
        bound_ceiling=1.9,
        wrapper="get_one_reg",
        loop="get_one_reg",
        arguments=("vcpu_fd", "reg"),
        pykvm="vcpu.get_one_reg(reg)",
        bound="get_one_reg(vcpu_fd, reg)",
        standard="ioctl(vcpu_fd, KVM_GET_ONE_REG, pack('=QQ', reg, address)); value[0]",
        ctypes="if libc.ioctl(vcpu_fd, KVM_GET_ONE_REG, byref(OneReg(reg, address))) < 0: fail()\n"
        "value[0]",
    ),
    Row(
        name="set_one_reg",
        wrapper="set_one_reg",
        loop="set_one_reg",
        arguments=("vcpu_fd", "reg", "number"),
        pykvm="vcpu.set_one_reg(reg, number)",
        bound="set_one_reg(vcpu_fd, reg, number)",
        standard="value[0] = number; ioctl(vcpu_fd, KVM_SET_ONE_REG, pack('=QQ', reg, address))",
        ctypes="value[0] = number\n"
        "if libc.ioctl(vcpu_fd, KVM_SET_ONE_REG, byref(OneReg(reg, address))) < 0: fail()",
    ),
    Row(
        name="get_regs, each of 32",
        ceiling=1.15,
        bound_ceiling=1.1,
        wrapper="get_registers",
        calls=32,
        weight=20,
        loop="get_regs",
        arguments=("vcpu_fd", "ids_address", "ids_count", "values_address"),
        pykvm="vcpu.get_regs(registers)",
        bound="get_registers(vcpu_fd, block); unpack(block_values, 32)",
        standard="[read_register(vcpu_fd, each) for each in ids]",
    ),
    Row(
        name="set_regs, each of 32",
        ceiling=1.15,
        missed=(
            (
                "pykvm",
                "8,500 instructions a call beyond C's: two frames, an array made of the list and "
                "copied, a loop of our own in C; with more registers than 32 it is less of each",
            ),
        ),
        wrapper="set_registers",
        calls=32,
        weight=20,
        loop="set_regs",
        arguments=("vcpu_fd", "ids_address", "ids_count", "values_address"),
        pykvm="vcpu.set_regs(registers, numbers)",
        standard="for each in ids: write_register(vcpu_fd, each, 1)",
    ),
    Row(
        name="device attribute",
        ceiling=2.7,
        missed=(
            (
                "pykvm",
                "the method is that of get_one_reg, a frame, two look-ups and a comparison, "
                "with a third argument for cffi to take out of a tuple",
            ),
        ),
        bound_ceiling=2.3,
        wrapper="get_attr_number",
        loop="get_device_attr",
        arguments=("vgic_fd", "attr_group", "attr"),
        pykvm="vgic.get_device_attr_number(attr_group, attr)",
        bound="get_attr_number(vgic_fd, attr_group, attr)",
        standard="ioctl(vgic_fd, KVM_GET_DEVICE_ATTR, "
        "pack('=IIQQ', 0, attr_group, attr, address)); value[0]",
        ctypes="if libc.ioctl(vgic_fd, KVM_GET_DEVICE_ATTR, "
        "byref(DeviceAttr(0, attr_group, attr, address))) < 0: fail()\nvalue[0]",
    ),
    Row(
        name="irqfd inject",
        ceiling=2.35,
        loop="eventfd_write",
        arguments=("irqfd_fd",),
        pykvm="irqfd.inject()",
        bound="gate_signal(irqfd_gate)",
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

#: Stores that a guest makes at the doorbell before it makes one elsewhere, and how many where those
#: at the doorbell never leave the kernel.
STORES, RINGS_OF_THE_BELL = 512, 4096

#: Entries of a ring of coalesced stores; it is full with one less, and that store leaves.
RING = (mmap.PAGESIZE - 8) // 24

_GUESTS = (
    Row(
        name="MMIO exit, run()",
        wrapper="vcpu_run",
        arm64_only=False,
        loop="run_to_store",
        arguments=("knock_fd", "knock_run"),
        pykvm="match knock.run():\n"
        "    case MmioWrite(gpa, data): device(gpa, data)\n"
        "    case _: fail()",
        standard="ioctl(knock_fd, KVM_RUN, 0)\n"
        "if unpack_from('=I', knock_page, 8)[0] != 6: fail()\n"
        "gpa, data, size, is_write = unpack_from('=Q8sIB', knock_page, 32)\n"
        "device(gpa, data[:size])",
        ctypes="if libc.ioctl(knock_fd, KVM_RUN, 0) < 0: fail()\n"
        "if knock_struct.exit_reason != 6: fail()\n"
        "device(knock_struct.gpa, bytes(knock_struct.data)[:knock_struct.size])",
    ),
    Row(
        name="MMIO exit, handler",
        ceiling=1.5,
        bound_ceiling=1.36,
        wrapper="vcpu_go_on",
        wrapper_calls=STORES,
        arm64_only=False,
        calls=STORES,
        weight=2000,
        loop="run_to_last_store",
        arguments=("handled_fd", "handled_run", "last_gpa"),
        pykvm="handled.run()",
        bound="slot = vcpu_run(handled_context)\n"
        "while slot >= 0:\n"
        "    handlers[slot](*stored(handled_access)); slot = vcpu_go_on(handled_context)",
        standard="while True:\n"
        "    ioctl(handled_fd, KVM_RUN, 0)\n"
        "    if unpack_from('=I', handled_page, 8)[0] != 6: fail()\n"
        "    gpa, data, size, is_write = unpack_from('=Q8sIB', handled_page, 32)\n"
        "    if gpa == last_gpa: break\n"
        "    device(gpa, data[:size])",
        ctypes="while True:\n"
        "    if libc.ioctl(handled_fd, KVM_RUN, 0) < 0: fail()\n"
        "    if handled_struct.exit_reason != 6: fail()\n"
        "    if handled_struct.gpa == last_gpa: break\n"
        "    device(handled_struct.gpa, bytes(handled_struct.data)[:handled_struct.size])",
    ),
    Row(
        name="MMIO served in C",
        ceiling=1.05,
        arm64_only=False,
        calls=STORES,
        weight=2000,
        loop="run_to_last_store",
        arguments=("latched_fd", "latched_run", "last_gpa"),
        pykvm="latched.run()",
    ),
    Row(
        name="MMIO ring, handler",
        wrapper="ring_take",
        wrapper_calls=2,  # the second finds nothing
        arm64_only=False,
        calls=STORES,
        weight=2000,
        loop="run_to_last_store",
        arguments=("ringed_fd", "ringed_run", "last_gpa"),
        pykvm="ringed.run()",
    ),
    Row(
        name="coalesced MMIO, handler",
        wrapper="drain_coalesced_mmio",
        wrapper_calls=-(-STORES // RING),
        arm64_only=False,
        calls=STORES,
        weight=500,
        loop="run_coalesced",
        arguments=("coal_fd", "coal_run", "coal_ring_address", "coal_length", "last_gpa"),
        pykvm="coal.run()",
        standard="while True:\n"
        "    ioctl(coal_fd, KVM_RUN, 0)\n"
        "    for gpa, data in drained(coal_page, coal_offset): device(gpa, data)\n"
        "    if unpack_from('=Q', coal_page, 32)[0] == last_gpa: break",
    ),
    Row(
        name="ioeventfd to irqfd, a store",
        ceiling=1.005,
        calls=RINGS_OF_THE_BELL,
        weight=2000,
        loop="run_to_store",
        arguments=("bell_fd", "bell_run"),
        pykvm="bell.run()",
        standard="ioctl(bell_fd, KVM_RUN, 0)",
        ctypes="if libc.ioctl(bell_fd, KVM_RUN, 0) < 0: fail()",
    ),
)


def _copies(size: int, name: str, weight: int, *ceilings: float) -> tuple[Row, Row]:
    method, bound = ceilings or (None, None)
    written = Row(
        name=f"memory write {name}",
        ceiling=method,
        bound_ceiling=bound,
        arm64_only=False,
        weight=weight,
        loop="copy",
        arguments=("memory_address", "source_address", f"size_{size}"),
        pykvm=f"memory.write(0, source_{size})",
        bound=f"view_{size}[:] = source_{size}",
        standard=f"room[0:{size}] = source_{size}",
        ctypes=f"memmove(room_address, source_{size}, {size})",
    )
    read = Row(
        name=f"memory read {name}",
        ceiling=method,
        bound_ceiling=bound,
        arm64_only=False,
        weight=weight,
        loop="copy",
        arguments=("target_address", "memory_address", f"size_{size}"),
        pykvm=f"memory.read(0, {size})",
        bound=f"target_{size}[:] = view_{size}",
        standard=f"room[0:{size}]",
        ctypes=f"string_at(room_address, {size})",
    )
    return written, read


#: Bytes of the copies, their names, and by how much fewer of them are timed.
SIZES = {4 << 10: ("4 KiB", 1), 64 << 10: ("64 KiB", 20), 1 << 20: ("1 MiB", 100)}
#: How much of 4 GiB is dirty, how it is spread, and by how much fewer walks are timed.
DENSITIES = {"0.01 %": 100, "1 % in runs": 200, "1 %": 400, "10 %": 1000, "100 %": 2000}


_FRESH = (
    "the numbers are in fresh memory, 400 KiB of it, which is a hundred page faults; C uses its "
    "array again"
)


def _bitmaps(density: str, weight: int) -> tuple[Row, Row]:
    arguments = (f"bitmap_address {density}", "bitmap_words", "pages_address")
    runs = Row(
        name=f"dirty runs, {density}",
        ceiling=2.0 if density == "1 % in runs" else None,
        wrapper="walk_runs" if density == "1 % in runs" else "",
        arm64_only=False,
        weight=weight,
        loop="dirty_pages",
        arguments=arguments,
        pykvm=f"bitmap_runs(bitmaps[{density!r}])",
    )
    pages = Row(
        name=f"dirty pages, {density}",
        ceiling=1.15,
        missed=(("pykvm", _FRESH),) if density == "10 %" else (),
        arm64_only=False,
        weight=weight,
        rivals_once=True,
        loop="dirty_pages",
        arguments=arguments,
        pykvm=f"bitmap_pages(bitmaps[{density!r}])",
        standard=f"list_pages(bitmaps[{density!r}])",
    )
    return runs, pages


ROWS = (
    *_CALLS,
    *_GUESTS,
    *(row for size, (name, weight) in SIZES.items() for row in _copies(
        size, name, weight, *((1.05, 1.02) if size >= 1 << 20 else ())
    )),
    *(row for density, weight in DENSITIES.items() for row in _bitmaps(density, weight)),
)  # fmt: skip


def rows_here() -> list[Row]:
    """The rows that work on this machine."""
    arm64 = platform.machine() == "aarch64"
    return [row for row in ROWS if arm64 or not row.arm64_only]
