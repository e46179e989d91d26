# SPDX-License-Identifier: Apache-2.0
"""A device of this host, given to the guest.

``host``      what sysfs says of a device, and why it cannot be given away
``dma``       the IOMMU's address space that its DMA sees
``device``    its registers and interrupts, as VFIO shows them
``assign``    the wiring: registers, memory, interrupt line
``lostends``  ways around kernels that lose ends of interrupts
``uapi``      VFIO's numbers and structures
"""
