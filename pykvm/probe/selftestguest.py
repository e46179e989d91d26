# SPDX-License-Identifier: Apache-2.0
"""The selftest's guest, and where it finds things.

It takes an interrupt and ends it without leaving in between; only then it stores the INTID to
where there is no memory. So every store is one interrupt, taken and ended, and nothing passes
through memory: with its MMU off the guest's view of that need not be ours.
"""

from __future__ import annotations

__all__ = ["DISTRIBUTOR", "INTERFACE", "Code"]

LEVEL_INTID = 42
EDGE_INTID = 43
RAM_GPA = 0x4000_0000
RAM_SIZE = 0x8_0000  # a multiple of every host's page size
GICD_GPA = 0x0800_0000
GICC_GPA = 0x0801_0000
GITS_GPA = 0x0808_0000
GICR_GPA = 0x080A_0000
STORE_GPA = 0x0A00_0000

Code = tuple[tuple[int, str], ...]

#: In: x0 = distributor, x1 = CPU interface (GICv2), x2 = where to store, w3 = bits of group 1.
#: The distributor goes on first: KVM does not look at what was pending before.
DISTRIBUTOR: Code = (
    (0x52800069, "mov w9, #3"),
    (0xB9000009, "str w9, [x0]"),  # GICD_CTLR: both groups
    (0xB9008403, "str w3, [x0, #0x84]"),  # GICD_IGROUPR1
    (0x52A02029, "mov w9, #0x01010000"),
    (0xB9082809, "str w9, [x0, #0x828]"),  # GICD_ITARGETSR10: 42 and 43 to CPU 0; GICv2 only
    (0x52A01009, "mov w9, #0x00800000"),
    (0xB90C0809, "str w9, [x0, #0xc08]"),  # GICD_ICFGR2: 43 is edge, the others level
    (0x52818009, "mov w9, #0xc00"),
    (0xB9010409, "str w9, [x0, #0x104]"),  # GICD_ISENABLER1: 42 and 43
)

#: By version of the GIC: its CPU interface on, a store of 0, then interrupts for ever. They stay
#: masked: WFI wakes all the same, and no vectors are needed.
INTERFACE: dict[int, Code] = {
    2: (
        (0x52801E09, "mov w9, #0xf0"),
        (0xB9000429, "str w9, [x1, #4]"),  # GICC_PMR
        (0x52800029, "mov w9, #1"),
        (0xB9000029, "str w9, [x1]"),  # GICC_CTLR
        (0xD5033F9F, "dsb sy"),
        (0xB900005F, "str wzr, [x2]"),
        (0xD503207F, "1: wfi"),
        (0xB9400C29, "ldr w9, [x1, #0xc]"),  # GICC_IAR: taken
        (0x1200252A, "and w10, w9, #0x3ff"),
        (0x710FF15F, "cmp w10, #1020"),
        (0x54FFFF82, "b.hs 1b"),  # nothing there
        (0xB9001029, "str w9, [x1, #0x10]"),  # GICC_EOIR: ended
        (0xD5033F9F, "dsb sy"),
        (0xB900004A, "str w10, [x2]"),
        (0x17FFFFF8, "b 1b"),
    ),
    3: (
        (0xD28000E9, "mov x9, #7"),
        (0xD518CCA9, "msr icc_sre_el1, x9"),
        (0xD5033FDF, "isb"),
        (0xD2801E09, "mov x9, #0xf0"),
        (0xD5184609, "msr icc_pmr_el1, x9"),
        (0xD2800029, "mov x9, #1"),
        (0xD518CCE9, "msr icc_igrpen1_el1, x9"),
        (0xD5033FDF, "isb"),
        (0xB900005F, "str wzr, [x2]"),
        (0xD503207F, "1: wfi"),
        (0xD538CC09, "mrs x9, icc_iar1_el1"),  # taken
        (0x710FFD3F, "cmp w9, #1023"),  # LPIs are beyond it
        (0x54FFFFA0, "b.eq 1b"),  # nothing there
        (0xD518CC29, "msr icc_eoir1_el1, x9"),  # ended
        (0xD5033FDF, "isb"),
        (0xB9000049, "str w9, [x2]"),
        (0x17FFFFF9, "b 1b"),
    ),
}
