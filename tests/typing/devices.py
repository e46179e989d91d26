# SPDX-License-Identifier: Apache-2.0
"""Every method of devices and of eventfds, with the type of what it returns; see machine.py."""

from __future__ import annotations

from typing import Literal

from pykvm import (
    Device,
    EventFd,
    Ioeventfd,
    Irqfd,
    ItsState,
    LevelLine,
    RedistRegion,
    Vfio,
    Vgic,
    VgicCpuState,
    VgicIts,
    VgicState,
    VgicV2,
    VgicV3,
    VgicV5,
)  # fmt: skip


def device(any_device: Device) -> None:
    data: bytes = any_device.get_device_attr(0, 0, bytes(8))
    any_device.set_device_attr(0, 0, data)
    any_device.set_device_attr(4, 0)
    numbers: list[int] = [
        any_device.fileno(), any_device.type, any_device.get_device_attr_number(0, 0),
        any_device.ioctl(0x4018AEE1, bytearray(24)),
    ]  # fmt: skip
    print(numbers, any_device.closed, any_device.has_device_attr(0, 0))
    any_device.close()


def gic(vgic: Vgic) -> None:
    vgic.nr_irqs = 64
    vgic.init()
    trigger: Literal["edge", "level"] = vgic.trigger_of(40)
    vgic.set_dist_reg("GICD_CTLR", vgic.get_dist_reg("GICD_CTLR", vcpu_id=0), vcpu_id=0)
    print(vgic.nr_irqs, trigger, vgic.version, vgic.device_type)


def gicv2(vgic: VgicV2) -> VgicState:
    vgic.dist_addr = vgic.dist_addr
    vgic.cpu_addr = vgic.cpu_addr
    vgic.set_cpu_reg("GICC_PMR", vgic.get_cpu_reg("GICC_PMR", vcpu_id=0), vcpu_id=0)
    state: VgicState = vgic.save()
    vgic.restore(state, lines_up=[(40, None)])
    return state


def gicv3(vgic: VgicV3, its: VgicIts) -> VgicState:
    vgic.dist_addr = vgic.dist_addr
    vgic.redist_addr = vgic.redist_addr
    vgic.maint_irq = vgic.maint_irq
    vgic.add_redist_region(0x080A_0000, 4, index=0)
    regions: tuple[RedistRegion, ...] = vgic.redist_regions
    vgic.set_redist_reg("GICR_WAKER", vgic.get_redist_reg("GICR_WAKER", vcpu_id=0), mpidr=0)
    vgic.set_cpu_sysreg("ICC_PMR_EL1", vgic.get_cpu_sysreg("ICC_PMR_EL1", mpidr=0), vcpu_id=0)
    vgic.set_level_info(32, vgic.get_level_info(32))
    vgic.save_pending_tables()
    state: VgicState = vgic.save(its=[its], mpidrs=[0])
    vgic.restore(state, its=[its])
    print(regions)
    return state


def its_registers(its: VgicIts) -> None:
    its.addr = its.addr
    its.init()
    its.set_its_reg("GITS_CTLR", its.get_its_reg("GITS_CTLR"))
    its.save_tables()
    its.restore_tables()
    its.reset()
    print(its.doorbell, its.device_type)


def states(before: VgicState, after: VgicState) -> VgicState:
    lines: list[str] = list(before.diff(after))
    text: str = before.to_json()
    cpu: VgicCpuState = before.cpus[0]
    translation: tuple[ItsState, ...] = before.its
    print(lines, cpu, translation, before.lines_up)
    return VgicState.from_json(text)


def others(gicv5: VgicV5, vfio: Vfio) -> None:
    gicv5.init()
    print(gicv5.userspace_ppis, gicv5.device_type, vfio.device_type)
    vfio.file_add(5)
    vfio.file_del(5)


def events(irqfd: Irqfd, doorbell: Ioeventfd) -> None:
    event: EventFd = EventFd(1)
    same: EventFd = EventFd.adopt(event)
    event.signal(5)
    numbers: list[int] = [event.read(), event.wait(1.0), event.fileno()]
    answers: list[bool] = [event.poll(0), event.closed, irqfd.closed, doorbell.closed]
    irqfd.inject()
    trigger: EventFd = irqfd.trigger
    resample: EventFd | None = irqfd.resample
    rung: EventFd = doorbell.eventfd
    print(same, numbers, answers, trigger, resample, rung)
    irqfd.close()
    doorbell.close()
    event.close()


async def level(irqfd: Irqfd) -> None:
    line: LevelLine = LevelLine(irqfd, wants=lambda: True)
    line.update()
    numbers: list[int] = [line.ended(), line.wait(1.0), line.ends, line.fileno()]
    print(numbers, line.up, line.irqfd)
    await line.serve()
    await irqfd.trigger.readable()
