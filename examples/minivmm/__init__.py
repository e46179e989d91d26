# SPDX-License-Identifier: Apache-2.0
"""The rooms of a minimal VMM; ``boot_linux.py`` shows the order in which they are used.

``layout``      where everything is in the guest's address space
``options``     the command line
``errors``      how a run can end
``ram``         the guest's memory, with every access checked
``image``       kernels, initrds, and where they go
``devicetree``  what the guest is told of its machine
``gic``         the interrupt controller
``lines``       interrupt lines: what devices know as ``signal()`` and ``set_level()``
``bus``         loads and stores that leave the guest, and the device that each is for
``cpus``        vCPUs, and the loop that runs each of them
``events``      descriptors that are waited for, and who hears of them
``pl011``       a serial port
"""
