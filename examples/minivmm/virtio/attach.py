# SPDX-License-Identifier: Apache-2.0
"""A virtio device's wires to KVM: its notifications come by ioeventfds, its interrupts by an irqfd.

So the guest leaves KVM_RUN neither to start a request nor to hear of its end.
"""

from __future__ import annotations

from functools import partial

from minivmm import layout
from minivmm.bus import Bus
from minivmm.endings import BadInput, Outcome
from minivmm.events import EventLoop
from minivmm.lines import EdgeIrqfd
from minivmm.ram import Ram
from minivmm.virtio.device import Device
from minivmm.virtio.transport import USED_BUFFER, Reg, Transport
from pykvm import VM


class Slots:
    """Places for virtio devices in the guest's address space, filled one after the other."""

    def __init__(self, vm: VM, bus: Bus, ram: Ram) -> None:
        self._vm, self._bus, self._ram = vm, bus, ram
        self.transports: dict[str, Transport] = {}

    @property
    def used(self) -> range:
        return range(len(self.transports))

    def attach(self, name: str, device: Device, loop: EventLoop) -> None:
        """``loop`` is where the device works."""
        slot = len(self.transports)
        if slot == layout.VIRTIO_SLOTS:
            raise BadInput(f"more than {slot} virtio devices")
        base = layout.VIRTIO + slot * layout.VIRTIO_SIZE
        line = EdgeIrqfd(self._vm, layout.VIRTIO_INTID + slot)
        transport = Transport(device, self._ram, line)
        self.transports[name] = transport
        self._bus.add(name, base, layout.VIRTIO_SIZE, transport)
        bells = []
        for index in range(len(device.queue_sizes)):
            bell = self._vm.ioeventfd(base + Reg.QUEUE_NOTIFY, 4, datamatch=index).eventfd
            if not device.vhost:
                loop.watch(bell, partial(transport.notified, index))
            bells.append(bell)
        device.kicks = [bell.fileno() for bell in bells]
        device.call = line.irqfd.trigger.fileno()
        device.poke = lambda index: bells[index].signal()
        # A guest that acknowledges used buffers tells us nothing: it need not leave the kernel for
        # that, and nobody reads this eventfd.
        self._vm.ioeventfd(base + Reg.INTERRUPT_ACK, 4, datamatch=USED_BUFFER)

    def close(self, outcome: Outcome) -> None:
        """Lets go of the guest's memory. Whoever works for a device has come to its end."""
        for name, transport in self.transports.items():
            if transport.complaint:
                outcome.notes.append(f"{name}: the guest's driver offered {transport.complaint}")
            transport.device.close()
            transport.forget()
