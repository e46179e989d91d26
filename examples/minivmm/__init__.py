# SPDX-License-Identifier: Apache-2.0
"""The rooms of a minimal VMM; ``boot_linux.py`` shows the order in which they are used.

``layout``      where everything is in the guest's address space
``options``     the command line
``endings``     how a run can end
``ram``         the guest's memory, with every access checked
``bootfile``    a file that is read straight into it
``image``       kernels, initrds, and where they go
``devicetree``  what the guest is told of its machine
``gic``         the interrupt controller
``lines``       interrupt lines: what devices know as ``signal()`` and ``set_level()``
``bus``         the addresses that devices serve, and what comes to nobody
``quick``       registers that the guest uses without Python
``cpus``        vCPUs, each in a thread, and what their ends mean
``events``      descriptors that are waited for, and who hears of them
``terminal``    what is typed, and what is shown
``pl011``, ``uart16550``, ``pl031``  serial ports and a clock
``virtio``      disks, network cards, sockets, random numbers, a console
``vfio``        devices of this host, given to the guest
``stats``       what left the guest, interrupts and requests
"""
