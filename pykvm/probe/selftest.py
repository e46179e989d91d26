# SPDX-License-Identifier: Apache-2.0
"""Whether interrupts arrive and end as they should, and stores ring: tried with a tiny guest."""

from __future__ import annotations

import errno
import platform
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from pykvm.errors import KvmError
from pykvm.exits import Exit, Interrupted, MmioWrite
from pykvm.irqfd import Irqfd
from pykvm.kvm import Kvm
from pykvm.memory import GuestMemory
from pykvm.probe.check import FAILURES, Check
from pykvm.probe.lpis import EVENT, LPI_INTID, lpis_for
from pykvm.probe.machines import kicked_after, next_exit, small_vm
from pykvm.probe.selftestguest import (
    DISTRIBUTOR,
    EDGE_INTID,
    GICC_GPA,
    GICD_GPA,
    GICR_GPA,
    INTERFACE,
    LEVEL_INTID,
    RAM_GPA,
    RAM_SIZE,
    STORE_GPA,
)
from pykvm.routing import MsiRoute
from pykvm.vcpu import Vcpu
from pykvm.vgic import Vgic
from pykvm.vgicv2 import VgicV2
from pykvm.vgicv3 import VgicV3
from pykvm.vm import VM

__all__ = ["FAILURES", "impossible", "run_selftest"]

#: Each is sent so often. The kernel's fault shows at the first that no host timer cuts into.
COUNT = 100
#: Seconds for everything: only a guest that hears nothing uses them up.
LIMIT = 60.0
#: Seconds without a signal in which nothing may arrive.
QUIET = 0.2
_GSI = 100
_DEVICE = 0


class _Impossible(Exception):
    """A trial that this host cannot be put to."""


class Machine(NamedTuple):
    """A VM whose guest is about to start."""

    vm: VM
    vcpu: Vcpu
    vgic: Vgic
    memory: GuestMemory


@dataclass
class Count:
    """What was counted, and the name of what went wrong, empty if nothing did."""

    sent: int = 0
    taken: int = 0
    ended: int = 0
    failure: str = ""
    detail: str = ""
    rung: int | None = None
    #: Nanoseconds of each.
    took: list[int] = field(default_factory=list, compare=False)

    def failed(self, name: str, exit: Exit | None = None) -> Count:
        """It went wrong: so, or otherwise where the guest came back with something else."""
        if exit is not None and not isinstance(exit, Interrupted):
            name, self.detail = "unexpected-exit", f"It came back with {exit}."
        self.failure = name
        return self


def run_selftest(kvm: Kvm) -> tuple[Check, ...]:
    """Tries edge and level interrupts on the newest GIC that the host has, an ioeventfd, and MSIs.

    It ends within some minutes, whatever the guest and the kernel do; in a second or two where all
    is well.
    """
    if platform.machine() != "aarch64":
        return impossible(f"The guest is made of arm64 code; this machine is {platform.machine()}.")
    return tuple(_check(kvm, name, trial) for name, trial in _TRIALS.items())


def impossible(why: str) -> tuple[Check, ...]:
    """The results where nothing can be tried."""
    return tuple(_told(name, why) for name in _TRIALS)


def _told(name: str, why: str, gic: int | None = None, count: Count | None = None) -> Check:
    if count is None:
        return Check(name, "impossible", None, why, None, *(None,) * 6)
    took = [nanoseconds // 1000 for nanoseconds in count.took]
    ended = count.ended if name == "level" else None
    return Check(
        name, "failed" if count.failure else "passed", count.failure or None, why,
        f"v{gic}" if gic else None, count.sent, count.taken, ended,
        count.rung, sorted(took)[len(took) // 2] if took else None, max(took, default=None),
    )  # fmt: skip


def _check(kvm: Kvm, name: str, trial: Callable[[Machine], Count]) -> Check:
    gic = None
    try:
        with _machine(kvm) as machine:
            gic = machine.vgic.version
            count = trial(machine)
    except _Impossible as reason:
        return _told(name, str(reason))
    except KvmError as refusal:
        if refusal.ioctl == "KVM_CREATE_DEVICE" and refusal.errno == errno.ENODEV:
            return _told(name, str(refusal))
        count = Count(failure="refused", detail=str(refusal))
    if not count.failure:
        return _told(name, "", gic, count)
    why = " ".join(filter(None, (FAILURES[count.failure], count.detail)))
    return _told(name, why, gic, count)


@contextmanager
def _machine(kvm: Kvm) -> Iterator[Machine]:
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
        yield Machine(vm, vcpu, vgic, memory)


def _edge(machine: Machine) -> Count:
    with machine.vm.irqfd(intid=EDGE_INTID) as irqfd:
        return _drive(machine.vcpu, irqfd, EDGE_INTID)


def _level(machine: Machine) -> Count:
    with machine.vm.irqfd(intid=LEVEL_INTID, resample=True) as irqfd:
        return _drive(machine.vcpu, irqfd, LEVEL_INTID)


def _msi(machine: Machine) -> Count:
    vm, vcpu, vgic, memory = machine
    if not isinstance(vgic, VgicV3):
        raise _Impossible("A GICv2 has no ITS.")
    with lpis_for(vm, vgic, memory) as its:
        vm.set_gsi_routing([MsiRoute(_GSI, its.doorbell, EVENT, _DEVICE)])
        with vm.irqfd(gsi=_GSI) as irqfd:
            return _drive(vcpu, irqfd, LPI_INTID)


def _ioeventfd(machine: Machine) -> Count:
    """The guest's store of the INTID rings, and does not come out."""
    vm, vcpu, _, _ = machine
    count = Count(rung=0)
    with (
        vm.irqfd(intid=EDGE_INTID) as irqfd,
        vm.ioeventfd(STORE_GPA, 4, datamatch=EDGE_INTID) as ioeventfd,
    ):
        if not _stores(exit := next_exit(vcpu, LIMIT), 0):
            return count.failed("not-ready", exit)
        exits: list[Exit] = []
        guest = threading.Thread(target=lambda: exits.append(vcpu.run()))
        guest.start()
        try:
            _ring(count, irqfd, ioeventfd.eventfd.fileno(), ioeventfd.eventfd.read)
        finally:
            vcpu.kick()
            guest.join()
        if not count.failure and not isinstance(exits[0], Interrupted):
            return count.failed("unexpected-exit", exits[0])
    return count


def _ring(count: Count, irqfd: Irqfd, fd: int, read: Callable[[], int]) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + LIMIT
    count.rung = 0
    while count.sent < COUNT:
        begun = time.perf_counter_ns()
        irqfd.inject()
        count.sent += 1
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            count.failed("no-ring")
            return
        count.took.append(time.perf_counter_ns() - begun)
        count.rung += read()
        count.taken = count.rung
    if poll.poll(QUIET * 1000):
        count.failed("spurious-interrupt")


_TRIALS: dict[str, Callable[[Machine], Count]] = {
    "edge": _edge,
    "level": _level,
    "ioeventfd": _ioeventfd,
    "msi": _msi,
}


def _drive(vcpu: Vcpu, irqfd: Irqfd, intid: int) -> Count:
    """Sends one signal after the other; each must come out as one store, and no other.

    The end of the interrupt is told as the guest leaves for its store, so it must be there then.
    """
    count = Count()
    with kicked_after(vcpu, LIMIT):
        if not _stores(exit := vcpu.run(), 0):
            return count.failed("not-ready", exit)
        while count.sent < COUNT:
            begun = time.perf_counter_ns()
            irqfd.inject()
            count.sent += 1
            if not _stores(exit := vcpu.run(), intid):
                return count.failed("no-interrupt", exit)
            count.took.append(time.perf_counter_ns() - begun)
            count.taken += 1
            if irqfd.resample is None:
                continue
            count.ended += irqfd.resample.read()
            if count.ended < count.sent:
                # The line is still up then, and the interrupt comes again though nobody sent it.
                if _stores(exit := vcpu.run(), intid):
                    count.taken += 1
                    return count.failed("lost-end-of-interrupt")
                return count.failed("no-notice", exit)
    if not isinstance(next_exit(vcpu, QUIET), Interrupted):
        count.taken += 1
        return count.failed("spurious-interrupt")
    return count


def _stores(exit: Exit, value: int) -> bool:
    return isinstance(exit, MmioWrite) and (exit.gpa, exit.value) == (STORE_GPA, value)
