# SPDX-License-Identifier: Apache-2.0
"""Virtio devices (version 1.2, over MMIO). How a request becomes an interrupt:

1. The guest puts descriptors into a queue and stores to QueueNotify. That is an ioeventfd: the vCPU
   goes on at once, and the device's event loop wakes (``attach``).
2. ``transport`` calls the device's ``serve()`` with the queue. The device (``blk``, ``console``,
   ``rng``, ``net``) takes chains (``device.serve_each()``), works in the guest's own memory, and
   gives them back.
3. ``queue`` writes the used ring, moves its index on, and asks whether the guest wants to hear.
4. ``transport`` signals the device's line (``minivmm.lines``): a write to an eventfd, the trigger
   of an irqfd. KVM makes it an SPI, and the guest's driver looks into the used ring.

``device`` is what a device has to bring; ``disk`` is the file behind ``blk``, ``tap`` the host's
end of ``net``. ``vhost`` gives queues to the kernel, for ``net`` and ``vsock``; ``wanted`` makes
the devices that the command line asks for.
"""
