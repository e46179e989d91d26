# SPDX-License-Identifier: Apache-2.0
"""A device of this host becomes one of the guest's: ``--device``.

The guest has no PCI. It finds a platform device: registers at an address, and an interrupt.

    registers   a BAR is mapped, and the mapping is a memory slot: a load of the guest's is a load
                of the device's, and nobody is asked
    DMA         the IOMMU translates guest physical addresses
    interrupt   line -> VFIO, which masks it -> eventfd -> irqfd -> SPI of the guest;
                guest's end of interrupt -> resamplefd -> VFIO, which unmasks it

All of that is wiring. Once it is done, Python has nothing to do.
"""

from __future__ import annotations

import mmap
from contextlib import ExitStack, suppress
from typing import NamedTuple

from minivmm import layout
from minivmm.bus import Bus
from minivmm.endings import BadInput
from minivmm.ram import Ram
from minivmm.vfio import Wanted
from minivmm.vfio.device import INTX, Region, VfioDevice
from minivmm.vfio.dma import Container
from minivmm.vfio.host import HostDevice
from pykvm import VM, GuestMemory, Irqfd


class Kind(NamedTuple):
    """What a device is as a platform device. ``bar``: where its registers are."""

    name: str
    compatible: str
    bar: int


#: By class code: controllers whose registers alone, without PCI, make a device that Linux drives.
KINDS = {
    0x010601: Kind("AHCI", "generic-ahci", 5),
    0x0C0310: Kind("OHCI", "generic-ohci", 0),
    0x0C0320: Kind("EHCI", "generic-ehci", 0),
    0x0C0330: Kind("xHCI", "generic-xhci", 0),
}


class Assigned(NamedTuple):
    """A device in the guest, as the device tree tells of it."""

    address: str
    kind: Kind
    gpa: int
    size: int
    intid: int
    level: bool
    host: HostDevice
    #: What this host had counted of its line before.
    before: int

    @property
    def interrupts(self) -> int:
        """Times that its line was heard by this host, since it was the guest's."""
        return self.host.interrupts - self.before


def assign(wanted: list[Wanted], vm: VM, bus: Bus, ram: Ram, undo: ExitStack) -> list[Assigned]:
    """Gives the guest all that is wanted. The interrupt controller must be there."""
    hosts = [HostDevice(each.address) for each in wanted]
    kinds = [kind_of(host) for host in hosts]
    container = Container()
    undo.callback(container.close)
    devices = []
    for host in hosts:
        device = VfioDevice(container.open_device(host))
        undo.callback(device.close)
        devices.append(device)
    container.map(ram.start, ram.memory)
    found = []
    gpa = layout.ASSIGNED
    for number, (how, host, kind, device) in enumerate(
        zip(wanted, hosts, kinds, devices, strict=True)
    ):
        device.reset()
        region = device.region(kind.bar)
        if not region.size:
            raise BadInput(f"--device {how.address}: its BAR {kind.bar} is empty; no {kind.name}")
        device.enable(bus_master=how.bus_master)
        gpa = _aligned(gpa, max(region.size, layout.ASSIGNED_ALIGNMENT))
        if gpa + region.size > layout.ASSIGNED_END:
            raise BadInput(
                f"--device {how.address}: no room for {region.size:#x} bytes of registers"
            )
        direct = [] if how.registers == "trap" else mappable(region)
        _show_registers(vm, bus, undo, device, region, gpa, f"{kind.name} {how.address}", direct)
        intid = layout.ASSIGNED_INTID + number
        connect_line(vm, device, intid, resample=how.resample)
        undo.callback(device.release, INTX)
        found.append(
            Assigned(how.address, kind, gpa, region.size, intid, how.level, host, host.interrupts)
        )
        gpa += region.size
    return found


def connect_line(vm: VM, device: VfioDevice, intid: int, *, resample: bool = True) -> Irqfd:
    """The device's interrupt line becomes an SPI of the guest, and the SPI's end unmasks it."""
    if not device.irq_count(INTX):
        raise BadInput("this device has no interrupt line (INTx), only messages")
    irqfd = vm.irqfd(intid=intid, resample=resample)
    device.set_triggers(INTX, [irqfd.trigger])
    if irqfd.resample is not None:
        device.set_unmask(irqfd.resample)
    return irqfd


class _Trapped:
    """Registers that the guest cannot be shown: each access leaves it, and is made here."""

    quick = ()

    def __init__(self, device: VfioDevice, region: Region, start: int) -> None:
        self._device, self._region, self._start = device, region, start

    def read(self, offset: int, size: int) -> int:
        try:
            return self._device.read(self._region, self._start + offset, size)
        except OSError:  # as a bus answers for a device that is gone
            return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        with suppress(OSError):
            self._device.write(self._region, self._start + offset, size, value)


def _show_registers(
    vm: VM,
    bus: Bus,
    undo: ExitStack,
    device: VfioDevice,
    region: Region,
    gpa: int,
    name: str,
    direct: list[range],
) -> None:
    """Puts registers where the guest finds them: those in ``direct`` are its own."""
    at = 0
    for area in [*direct, range(region.size, region.size)]:
        if at < area.start:
            bus.add(name + _from(at), gpa + at, area.start - at, _Trapped(device, region, at))
        if area:
            _show(vm, undo, gpa + area.start, device.map(region, area))
            bus.keep_clear(name + _from(area.start), gpa + area.start, len(area))
        at = area.stop


def _from(offset: int) -> str:
    return f" from {offset:#x}" if offset else ""


def _show(vm: VM, undo: ExitStack, gpa: int, registers: GuestMemory) -> None:
    undo.callback(registers.close)
    slot = vm.add_memory(gpa, registers)
    undo.callback(slot.close)  # which lets go of the mapping


def mappable(region: Region) -> list[range]:
    """The areas that a slot can show: whole pages of this host."""
    page = mmap.PAGESIZE
    return [area for area in region.areas if not (area.start % page or area.stop % page)]


def kind_of(host: HostDevice) -> Kind:
    kind = KINDS.get(host.class_code)
    if kind is None:
        known = ", ".join(f"{kind.name} ({code:06x})" for code, kind in KINDS.items())
        raise BadInput(
            f"--device {host.address}: class {host.class_code:06x}. The guest has no PCI; what "
            f"can do without is {known}"
        )
    return kind


def _aligned(number: int, alignment: int) -> int:
    return -(-number // alignment) * alignment
