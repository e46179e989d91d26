# SPDX-License-Identifier: Apache-2.0
"""A VM around one of the tiny guests in ``guests/``, in the order in which a VM comes to life.

The examples share it, so that each shows its one idea; it is worth reading first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from guests import Report, layout, load_image

from pykvm import (
    VM,
    Exit,
    GuestMemory,
    Interrupted,
    Kvm,
    MmioWrite,
    SystemEvent,
    Vcpu,
    VcpuFeature,
    Vgic,
    VgicIts,
    VgicV2,
    VgicV3,
)

Handler = Callable[[Exit], None]


class GuestFailed(Exception):
    """The guest gave up, and said why."""


class TinyVm:
    """Memory, vCPUs and a GIC, with a tiny guest loaded. ``close()`` or ``with`` ends it.

    ``gic`` is 2, 3, None for the newest that the host has, or 0 for no GIC at all; ``its`` adds an
    interrupt translation service to a GICv3. ``features`` are given to each vCPU beside PSCI_0_2,
    and ``prepare`` is called with the VM before there is anything in it.
    """

    def __init__(
        self,
        guest: str,
        *,
        gic: int | None = None,
        cpus: int = 1,
        its: bool = False,
        features: Iterable[VcpuFeature] = (),
        prepare: Callable[[VM], None] | None = None,
    ) -> None:
        features = [VcpuFeature.PSCI_0_2, *features]
        with ExitStack() as undo:
            self.kvm = undo.enter_context(Kvm())
            self.vm = undo.enter_context(self.kvm.create_vm())
            if prepare:
                prepare(self.vm)
            # 1. Memory: the image at its start, the report page where guest and host meet.
            self.memory = GuestMemory(layout.RAM_SIZE)
            undo.callback(self.memory.close)
            undo.callback(self.vm.close)  # the VM's slot lets go of the memory first
            self.memory.write(layout.IMAGE_GPA - layout.RAM_GPA, load_image(guest))
            self.slot = self.vm.add_memory(layout.RAM_GPA, self.memory)
            # 2. vCPUs, all of them before the GIC is initialised.
            self.vcpus = [self.vm.create_vcpu(number) for number in range(cpus)]
            for number, vcpu in enumerate(self.vcpus):
                stopped = [VcpuFeature.POWER_OFF] if number else []
                vcpu.arm_vcpu_init([*features, *stopped])
            # 3. The GIC: addresses, then init(). Irqfds come after that.
            self.vgic = self._make_gic(gic)
            self.its = self._make_its() if its else None
            self.reports = [self._report(number) for number in range(cpus)]
            for report in self.reports:
                undo.callback(report.close)
            self._undo = undo.pop_all()

    def _make_gic(self, version: int | None) -> Vgic | None:
        if version == 0:
            return None
        vgic = self.vm.create_vgic(version)
        vgic_frames(vgic)
        vgic.init()
        return vgic

    def _make_its(self) -> VgicIts:
        its = self.vm.create_its()
        its.addr = layout.ITS_GPA
        its.init()
        return its

    def _report(self, cpu: int) -> Report:
        with self.memory.view(layout.REPORT_GPA - layout.RAM_GPA, layout.REPORT_SIZE) as area:
            return Report(area, cpu)

    @property
    def gic_version(self) -> int:
        return self.vgic.version if self.vgic else 0

    @property
    def gic_name(self) -> str | None:
        return f"v{self.vgic.version}" if self.vgic else None

    @property
    def report(self) -> Report:
        """What the first vCPU reports."""
        return self.reports[0]

    def set_registers(self, registers: Mapping[str, int], cpu: int = 0) -> None:
        """4. Registers: the guest's entry point and arguments."""
        for name, value in registers.items():
            self.vcpus[cpu].set_one_reg(name, value)

    def run(self, handler: Handler | None = None, *, cpu: int = 0) -> SystemEvent | Interrupted:
        """5. Runs a vCPU until the guest wants the machine off (or reset), or somebody kicks."""
        vcpu: Vcpu = self.vcpus[cpu]
        while True:
            match vcpu.run():
                case SystemEvent() | Interrupted() as end:
                    return end
                case MmioWrite(gpa=layout.STOP_GPA):
                    raise GuestFailed(self.reports[cpu].failure)
                case other if handler is not None:
                    handler(other)
                case other:
                    raise GuestFailed(f"the guest does what nobody handles: {other}")

    @contextmanager
    def running(self, handler: Handler | None = None, *, cpu: int = 0) -> Iterator[None]:
        """Runs a vCPU in a thread of its own while the ``with`` block lasts."""
        failures: list[BaseException] = []

        def body() -> None:
            try:
                self.run(handler, cpu=cpu)
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=body, name=f"vCPU {cpu}")
        thread.start()
        try:
            yield
        finally:
            self.vcpus[cpu].kick()
            thread.join()
        if failures:
            raise failures[0]

    def close(self) -> None:
        self._undo.close()

    def __enter__(self) -> TinyVm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def vgic_frames(vgic: Vgic) -> None:
    """Puts the GIC's registers where the tiny guests look for them."""
    match vgic:
        case VgicV2():
            vgic.dist_addr = layout.GICD_GPA
            vgic.cpu_addr = layout.GICC_GPA
        case VgicV3():
            vgic.dist_addr = layout.GICD_GPA
            vgic.redist_addr = layout.GICR_GPA
