# SPDX-License-Identifier: Apache-2.0
"""Whether interrupts through eventfds arrive and end as they should, tried with a tiny guest.

The guest takes an SPI and ends it without leaving in between; only then it stores the INTID to
where there is no memory, which brings it out to us. So every store is one interrupt, taken and
ended, and nothing passes through memory: with its MMU off the guest's view of that need not be
ours.
"""

from __future__ import annotations

import errno
import platform
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pykvm.errors import KvmError
from pykvm.exits import Exit, Interrupted, MmioWrite
from pykvm.irqfd import Irqfd
from pykvm.kvm import Kvm
from pykvm.limits import small_vm
from pykvm.memory import GuestMemory
from pykvm.vcpu import Vcpu
from pykvm.vgicv2 import VgicV2
from pykvm.vgicv3 import VgicV3
from pykvm.vm import VM

__all__ = ["FAILURES", "impossible", "run_selftest"]

#: A failure's name, and what it means.
FAILURES = {
    "lost-end-of-interrupt": (
        "This kernel loses the end of a level interrupt that the guest takes and ends without "
        "leaving in between: the resamplefd stays silent and the interrupt comes again and again. "
        "Known of kernels 7.2 and 7.3 with a GICv3 (6.18 is good). A guest driver that touches its "
        "emulated device before it ends the interrupt is not affected."
    ),
    "not-ready": "The guest did not get as far as waiting for interrupts.",
    "no-interrupt": "A signal of the irqfd never became an interrupt of the guest.",
    "no-notice": "The guest took and ended its interrupts, but the resamplefd was not signalled.",
    "spurious-interrupt": "The guest took more interrupts than were sent.",
    "unexpected-exit": "The guest did something else than to take interrupts.",
    "refused": "KVM refused a call that this needs.",
}

LEVEL_INTID = 42
EDGE_INTID = 43
#: Each is sent so often. The kernel's fault shows at the first that no host timer cuts into.
COUNT = 100
#: Seconds for everything: only a guest that hears nothing uses them up.
LIMIT = 60.0
#: Seconds without a signal in which nothing may arrive.
QUIET = 0.2

RAM_GPA = 0x4000_0000
RAM_SIZE = 0x1_0000  # a multiple of every host's page size
GICD_GPA = 0x0800_0000
GICC_GPA = 0x0801_0000
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
        (0x710FF13F, "cmp w9, #1020"),
        (0x54FFFFA2, "b.hs 1b"),  # nothing there
        (0xD518CC29, "msr icc_eoir1_el1, x9"),  # ended
        (0xD5033FDF, "isb"),
        (0xB9000049, "str w9, [x2]"),
        (0x17FFFFF9, "b 1b"),
    ),
}


class Count(NamedTuple):
    """What was counted, and the name of what went wrong, empty if nothing did."""

    sent: int
    taken: int
    ended: int
    failure: str = ""
    detail: str = ""


def run_selftest(kvm: Kvm) -> list[dict[str, Any]]:
    """Tries edge and level interrupts on the newest GIC that the host has.

    Each result is plain data: ``name``; ``result``, "passed", "failed" or "impossible";
    ``failure``, one of :data:`FAILURES` or None; ``why``; ``gic``; ``sent`` signals, ``taken``
    interrupts and ``ended``, those that the resamplefd told of (None without one).
    It ends within two minutes, whatever the guest and the kernel do.
    """
    if platform.machine() != "aarch64":
        return impossible(f"The guest is made of arm64 code; this machine is {platform.machine()}.")
    return [_result(kvm, "edge-interrupt", False), _result(kvm, "level-interrupt", True)]


def impossible(why: str) -> list[dict[str, Any]]:
    """The results where nothing can be tried."""
    return [_told(name, "impossible", why) for name in ("edge-interrupt", "level-interrupt")]


def _told(
    name: str, result: str, why: str = "", gic: int | None = None, count: Count | None = None
) -> dict[str, Any]:
    sent, taken, ended, failure, _ = count or (None,) * 5
    return {
        "name": name,
        "result": result,
        "failure": failure or None,
        "why": why,
        "gic": gic and f"v{gic}",
        "sent": sent,
        "taken": taken,
        "ended": ended if name == "level-interrupt" else None,
    }


def _result(kvm: Kvm, name: str, level: bool) -> dict[str, Any]:
    gic = None
    try:
        with _machine(kvm) as (vm, vcpu, gic):
            intid = LEVEL_INTID if level else EDGE_INTID
            with vm.irqfd(intid=intid, resample=level) as irqfd:
                count = _drive(vcpu, irqfd, intid)
    except KvmError as refusal:
        if refusal.ioctl == "KVM_CREATE_DEVICE" and refusal.errno == errno.ENODEV:
            return _told(name, "impossible", str(refusal))
        count = Count(0, 0, 0, "refused", str(refusal))
    if not count.failure:
        return _told(name, "passed", "", gic, count)
    why = " ".join(filter(None, (FAILURES[count.failure], count.detail)))
    return _told(name, "failed", why, gic, count)


@contextmanager
def _machine(kvm: Kvm) -> Iterator[tuple[VM, Vcpu, int]]:
    """A VM whose guest is about to start: its vCPU and the version of its GIC."""
    with GuestMemory(RAM_SIZE) as memory, small_vm(kvm) as vm, vm.create_vcpu(0) as vcpu:
        vcpu.arm_vcpu_init()
        vgic = vm.create_vgic()
        match vgic:
            case VgicV2():
                vgic.dist_addr, vgic.cpu_addr = GICD_GPA, GICC_GPA
            case VgicV3():
                vgic.dist_addr, vgic.redist_addr = GICD_GPA, GICR_GPA
        vgic.init()
        code = DISTRIBUTOR + INTERFACE[vgic.version]
        memory.write(0, struct.pack(f"<{len(code)}I", *(word for word, _ in code)))
        vm.add_memory(RAM_GPA, memory)
        group1 = 0 if vgic.version == 2 else 1 << LEVEL_INTID - 32 | 1 << EDGE_INTID - 32
        registers = (GICD_GPA, GICC_GPA, STORE_GPA, group1)
        for number, value in enumerate(registers):
            vcpu.set_one_reg(f"x{number}", value)
        vcpu.set_one_reg("pc", RAM_GPA)
        yield vm, vcpu, vgic.version


def _drive(vcpu: Vcpu, irqfd: Irqfd, intid: int) -> Count:
    """Sends one signal after the other; each must come out as one store, and no other.

    The end of the interrupt is told as the guest leaves for its store, so it must be there then.
    """
    deadline = time.monotonic() + LIMIT
    sent = taken = ended = 0

    def ended_badly(exit: Exit, name: str) -> Count:
        if not isinstance(exit, Interrupted):
            return Count(sent, taken, ended, "unexpected-exit", f"It came back with {exit}.")
        return Count(sent, taken, ended, name)

    if not _stores(exit := _next(vcpu, LIMIT), 0):
        return ended_badly(exit, "not-ready")
    while sent < COUNT:
        irqfd.inject()
        sent += 1
        if not _stores(exit := _next(vcpu, deadline - time.monotonic()), intid):
            return ended_badly(exit, "no-interrupt")
        taken += 1
        if irqfd.resample is None:
            continue
        ended += irqfd.resample.read()
        if ended < sent:
            # The line is still up then, and the interrupt comes again though nobody sent it.
            if _stores(exit := _next(vcpu, deadline - time.monotonic()), intid):
                return Count(sent, taken + 1, ended, "lost-end-of-interrupt")
            return ended_badly(exit, "no-notice")
    if not isinstance(_next(vcpu, QUIET), Interrupted):
        return Count(sent, taken + 1, ended, "spurious-interrupt")
    return Count(sent, taken, ended)


def _stores(exit: Exit, value: int) -> bool:
    return isinstance(exit, MmioWrite) and (exit.gpa, exit.value) == (STORE_GPA, value)


def _next(vcpu: Vcpu, seconds: float) -> Exit:
    """The next exit, or Interrupted when the time is over."""
    timer = threading.Timer(max(seconds, 0), vcpu.kick)
    timer.start()
    try:
        return vcpu.run()
    finally:
        timer.cancel()
        timer.join()
