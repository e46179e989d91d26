# SPDX-License-Identifier: Apache-2.0
"""Every method of what a VM is made of, with the type of what it returns.

Nobody runs this: mypy --strict reads it, and a unit test finds what is missing here.
"""

from __future__ import annotations

from collections.abc import Mapping

import pykvm
from pykvm import (
    VM,
    ArmDeviceAddr,
    Breakpoint,
    Cap,
    CoalescedMmio,
    Device,
    DeviceIrqLevel,
    DeviceType,
    DirtyPage,
    Exit,
    GuestDebugControl,
    GuestMemfd,
    GuestMemory,
    Ioeventfd,
    Irqfd,
    Kvm,
    MemorySlot,
    MmioWrite,
    MpState,
    MsiRoute,
    PmuEventAction,
    RegFamily,
    RegisterSet,
    SmcccAction,
    SpiRoute,
    Statistic,
    Statistics,
    Vcpu,
    VcpuEvents,
    VcpuFeature,
    Vfio,
    Vgic,
    VgicIts,
    Watchpoint,
)  # fmt: skip


def system() -> VM:
    kvm: Kvm = Kvm("/dev/kvm")
    numbers: list[int] = [
        kvm.fileno(), kvm.get_api_version(), kvm.get_vcpu_mmap_size(),
        kvm.check_extension(Cap.IRQFD), kvm.check_extension(5),
    ]  # fmt: skip
    with Kvm.adopt(kvm) as same:
        same.close()
    is_closed: bool = kvm.closed and numbers == []
    other: VM = kvm.adopt_vm(5)
    return kvm.create_vm(ipa_bits=40) if is_closed else other


def virtual_machine(vm: VM) -> None:
    numbers: list[int] = [
        vm.fileno(), vm.check_extension(Cap.MSI_DEVID), vm.arm_preferred_target(),
        vm.enable_cap(Cap.HALT_POLL, [0], flags=0), vm.ioctl(0xAE03, 5), vm.reset_dirty_rings(),
        vm.ioctl(0x4020AE46, bytearray(32)),
    ]  # fmt: skip
    answers: list[bool] = [
        vm.closed, vm.has_device(DeviceType.VFIO), vm.has_device_attr(0, 0),
        vm.has_smccc_filter(), vm.signal_msi(0x0809_0040, 0, devid=8),
    ]  # fmt: skip
    masks: Mapping[int, int] = vm.arm_get_reg_writable_masks()
    vm.set_device_attr(0, 0, b"")
    vm.set_smccc_filter(0xC600_0000, 1, SmcccAction.FWD_TO_USER)
    vm.arm_set_counter_offset(5)
    vm.enable_halt_poll(0)
    vm.enable_manual_dirty_log_protect2(initially_set=True, on=True)
    vm.enable_dirty_log_ring(65536)
    vm.enable_dirty_log_ring_with_bitmap()
    vm.enable_arm_nisv_to_user()
    vm.enable_arm_mte()
    vm.enable_arm_system_suspend()
    vm.enable_arm_eager_split_chunk_size(0)
    vm.enable_arm_writable_imp_id_regs()
    vm.enable_arm_sea_to_user()
    with vm.get_stats_fd() as statistics:
        counted(statistics)
    print(numbers, answers, masks)
    vm.close()


def counted(statistics: Statistics) -> None:
    found: Mapping[str, Statistic] = statistics.read()
    value: int | tuple[int, ...] = found["exits"].value
    print(value, statistics.id, statistics.closed, statistics.fileno())
    statistics.close()


def memory(vm: VM) -> None:
    plain = GuestMemory(2 << 20, huge_pages=True)
    shared: GuestMemory = GuestMemory.memfd(2 << 20, hugetlb=False)
    of_file: GuestMemory = GuestMemory.file(5, 4096, offset=0, private=True)
    registers: GuestMemory = GuestMemory.device(5, 1 << 40, 4096)
    registers.close()
    data: bytes = plain.read(0, 4)
    plain.write(0, data)
    plain.read_into(0, bytearray(4))
    view: memoryview = plain.view(0, 16)
    words: list[int] = [
        plain.load(0, 4),
        plain.load_acquire(0, 4),
        plain.size,
        len(view),
        plain.hva,
    ]
    plain.store(0, 4, 1)
    pykvm.memory_fence()
    plain.store_release(0, 4, 1)
    slot: MemorySlot = vm.add_memory(
        0x4000_0000, shared, offset=0, size=None, slot=3, readonly=False, log_dirty=True
    )
    slot.move(0x5000_0000)
    slot.log_dirty = not slot.log_dirty
    log: bytes = slot.get_dirty_log()
    slot.clear_dirty_log(0, slot.pages, log)
    runs: list[tuple[int, int]] = pykvm.bitmap_runs(log, 8)
    pages: memoryview = pykvm.bitmap_pages(log)
    count: int = pykvm.bitmap_count(log)
    kept: list[tuple[int, int]] = slot.dirty_runs(merge_gap=8)
    kept_pages: memoryview = slot.dirty_pages()
    places: list[int] = [slot.slot, slot.gpa, slot.size, slot.offset]
    flags: list[bool] = [slot.readonly, slot.closed, plain.closed]
    print(of_file, words, runs, pages, kept, kept_pages, count, places, flags, slot.memory)
    slot.close()
    plain.close()


def other_memory(vm: VM) -> None:
    file: GuestMemfd = vm.create_guest_memfd(2 << 20, flags=3)
    file.allocate(offset=0, size=4096)
    file.punch_hole(offset=0, size=4096)
    mapped: GuestMemory = file.map(offset=0, size=None)
    slot: MemorySlot = vm.add_guest_memfd(0x4000_0000, file, offset=0, size=None, slot=None)
    numbers: list[int] = [file.fileno(), file.size, file.flags]
    tags: bytes = vm.arm_mte_read_tags(0x4000_0000, 4096)
    vm.arm_mte_write_tags(0x4000_0000, tags)
    zone: CoalescedMmio = vm.register_coalesced_mmio(0x0A00_0000, 4096)
    print(mapped, slot.guest_memfd, numbers, file.shared, file.closed, zone.gpa, zone.size)
    print(zone.closed)
    zone.close()
    file.close()


def interrupts(vm: VM) -> None:
    vm.irq_line(40, 1)
    vm.irq_line(20, True, vcpu_id=0)
    vm.irq_line_status(40, 0)
    vm.cpu_line(0, 1, fiq=True)
    vm.create_irqchip()
    vm.arm_set_device_addr(ArmDeviceAddr.VGIC_V2_DIST, 0x0800_0000)
    vm.set_gsi_routing([SpiRoute(8, 40), MsiRoute(9, 0x0809_0040, 0, devid=8)])
    irqfd: Irqfd = vm.irqfd(intid=40, resample=True, allow_unrouted=False)
    other: Irqfd = vm.irqfd(gsi=9, eventfd=irqfd.trigger)
    doorbell: Ioeventfd = vm.ioeventfd(0x0A00_0000, 4, datamatch=1, eventfd=None)
    devices: list[Device] = [vm.create_device(DeviceType.VFIO), vm.create_device(4)]
    its: VgicIts = vm.create_its()
    vgic: Vgic = vm.create_vgic(3, allow_implicit_init=False)
    vfio: Vfio = vm.create_vfio()
    print(other, doorbell, devices, its, vgic, vfio)


def processor(vm: VM) -> None:
    vcpu: Vcpu = vm.create_vcpu(0)
    vcpu.arm_vcpu_init([VcpuFeature.PSCI_0_2, 4], target=5)
    vcpu.sve_lengths_bits = [128, 256]
    lengths: tuple[int, ...] = vcpu.sve_lengths_bits
    vcpu.arm_vcpu_finalize(VcpuFeature.SVE)
    vcpu.set_one_reg("pc", vcpu.get_one_reg(pykvm.reg_id("pc")))
    several = RegisterSet(["x0", "x1"])
    values: list[int] = vcpu.get_regs(several)
    vcpu.set_regs(["x0", "x1"], values)
    ids: list[int] = vcpu.get_reg_list()
    names: list[str] = [pykvm.reg_name(number) for number in ids]
    sizes: list[int] = [pykvm.reg_size(number) for number in ids]
    families: list[RegFamily | int] = [pykvm.reg_family(number) for number in ids]
    midr: int = pykvm.sysreg(3, 0, 0, 0, 0)
    exit: Exit = vcpu.run()
    vcpu.mmio_reply(5)
    vcpu.mmio_reply(b"\5")
    vcpu.kick()
    stores: list[MmioWrite] = vcpu.drain_coalesced_mmio()
    dirty: list[DirtyPage] = vcpu.harvest_dirty_ring()
    page: memoryview = vcpu.kvm_run
    pykvm.set_kick_signal(40)
    with vcpu.get_stats_fd() as statistics:
        counted(statistics)
    print(lengths, names, sizes, families, midr, exit, stores, dirty, page, vcpu.vcpu_id)
    print(vcpu.ioctl(0x8004AE98, bytearray(4)), vcpu.fileno(), vcpu.closed)
    vcpu.close()


def processor_state(vcpu: Vcpu) -> None:
    state: MpState | int = vcpu.get_mp_state()
    vcpu.set_mp_state(MpState.STOPPED)
    events: VcpuEvents = vcpu.get_vcpu_events()
    vcpu.set_vcpu_events(VcpuEvents(serror_pending=True, serror_esr=5))
    vcpu.set_guest_debug(
        GuestDebugControl.SINGLESTEP,
        breakpoints=[Breakpoint(0x4000_0000)],
        watchpoints=[Watchpoint(0x4000_1000, 8, write=True)],
    )
    vcpu.set_signal_mask([10, 12])
    vcpu.set_signal_mask(None)
    lines: DeviceIrqLevel = vcpu.device_irq_level
    print(state, events, lines.vtimer, lines.ptimer, lines.pmu)


def processor_attributes(vcpu: Vcpu) -> None:
    vcpu.pmu_irq = 23
    vcpu.set_pmu(8)
    vcpu.set_pmu_nr_counters(2)
    vcpu.pmu_filter(0x11, 1, PmuEventAction.DENY)
    vcpu.pmu_init()
    vcpu.vtimer_irq, vcpu.ptimer_irq, vcpu.hvtimer_irq, vcpu.hptimer_irq = 27, 30, 28, 26
    vcpu.pvtime_ipa = 0x4000_0000
    numbers: list[int] = [
        vcpu.pmu_irq, vcpu.vtimer_irq, vcpu.ptimer_irq, vcpu.hvtimer_irq, vcpu.hptimer_irq,
        vcpu.pvtime_ipa, vcpu.get_device_attr_number(1, 0),
    ]  # fmt: skip
    has: bool = vcpu.has_device_attr(1, 0)
    data: bytes = vcpu.get_device_attr(1, 0, bytes(4))
    vcpu.set_device_attr(1, 0, data)
    print(numbers, has)
