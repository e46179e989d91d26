# SPDX-License-Identifier: Apache-2.0
"""A vCPU's PMU, timers and stolen time, set up by attributes: that part of :class:`pykvm.Vcpu`."""

from __future__ import annotations

import struct

from pykvm._attributes import attr_call, roomy
from pykvm._described import Described
from pykvm._descriptor import Descriptor, check_int
from pykvm._native import ffi, lib

__all__ = ["PmuEventAction", "VcpuAttributes"]

_S32 = 2**31 - 1
_U64 = 2**64 - 1


class PmuEventAction(Described):
    """What :meth:`Vcpu.pmu_filter` does with events."""

    ALLOW = 0, "The guest can count them. As the first filter: and no others."
    DENY = 1, "They count nothing. As the first filter: and all others do."


class VcpuAttributes:
    """The part of a vCPU that sets up its PMU, its timers and its stolen time."""

    __slots__ = ()

    _core: Descriptor

    # The PMU ----------------------------------------------------------------------------------

    @property
    def pmu_irq(self) -> int:
        """intid that the PMU raises on overflow: a PPI, the same for every vCPU, or an SPI each.

        For a vCPU with PMU_V3 of a VM with a GIC in the kernel; set it once, before pmu_init().
        Errors: ENXIO unset, EINVAL no GIC or a number that cannot be, EBUSY set before or too late,
        ENODEV no PMU_V3.
        Source: devices/vcpu.rst 1.1; arm64.
        """
        return self._get_s32(lib.KVM_ARM_VCPU_PMU_V3_CTRL, lib.KVM_ARM_VCPU_PMU_V3_IRQ)

    @pmu_irq.setter
    def pmu_irq(self, intid: int) -> None:
        intid = check_int("pmu_irq", intid, 16, _S32)
        self._set_pmu(lib.KVM_ARM_VCPU_PMU_V3_IRQ, struct.pack("=i", intid))

    def pmu_init(self) -> None:
        """KVM_SET_DEVICE_ATTR, PMU_V3_INIT: the PMU is ready; without it run() fails with EINVAL.

        Capability: ARM_PMU_V3; arm64.

        After everything else of the PMU; where the VM has a GIC, after its init() and ``pmu_irq``.
        Errors: ENODEV no PMU_V3, or the GIC is not initialised; ENXIO no pmu_irq, or PMU_V3_STRICT
        without set_pmu(); EEXIST the intid is somebody else's; EBUSY done before.
        Synchronization: waits while another thread is inside run().
        Source: devices/vcpu.rst 1.2.
        """
        self._set_pmu(lib.KVM_ARM_VCPU_PMU_V3_INIT)

    def pmu_filter(self, base_event: int, nevents: int, action: PmuEventAction | int) -> None:
        """KVM_SET_DEVICE_ATTR, PMU_V3_FILTER: which events guests of this VM can count.

        Capability: ARM_PMU_V3; arm64.

        Filters add up; the first decides about all events that none names.
        Args: ``base_event``: the first event's number, up to 2**16 - 1; ``nevents``: how many;
        ``action``: a :class:`PmuEventAction`.
        Errors: EINVAL beyond the PMU's events, EBUSY the VM has run, ENODEV no PMU_V3, ENXIO
        PMU_V3_STRICT without set_pmu().
        Synchronization: waits while another thread is inside run().
        Source: devices/vcpu.rst 1.3.
        """
        argument = struct.pack(
            "=HHB3x",
            check_int("base_event", base_event, 0, 2**16 - 1),
            check_int("nevents", nevents, 0, 2**16 - 1),
            check_int("action", action, 0, 2**8 - 1),
        )
        self._set_pmu(lib.KVM_ARM_VCPU_PMU_V3_FILTER, argument)

    def set_pmu(self, type: int) -> None:
        """KVM_SET_DEVICE_ATTR, PMU_V3_SET_PMU: which PMU of the host counts for this VM.

        Capability: ARM_PMU_V3; arm64.

        Otherwise it is that of the CPU where arm_vcpu_init() was called. vCPUs then run on that
        PMU's CPUs alone: elsewhere run() gives :class:`~pykvm.FailEntry`.
        Args: ``type``: its number, in /sys/bus/event_source/devices/NAME/type.
        Errors: ENXIO no such PMU, EBUSY the VM has run or has filters for another one, ENODEV no
        PMU_V3.
        Synchronization: waits while another thread is inside run().
        Source: devices/vcpu.rst 1.4.
        """
        number = check_int("type", type, 0, _S32)
        self._set_pmu(lib.KVM_ARM_VCPU_PMU_V3_SET_PMU, struct.pack("=i", number))

    def set_pmu_nr_counters(self, count: int) -> None:
        """KVM_SET_DEVICE_ATTR, PMU_V3_SET_NR_COUNTERS: counters of this VM's guests (PMCR_EL0.N).

        Capability: none: has_device_attr(0, 4) tells; arm64.

        A later set_pmu() sets it back to all that there are.
        Args: ``count``: how many, without the cycle counter.
        Errors: EINVAL more than the host has, or no PMU chosen; ENXIO an older kernel, EBUSY after
        pmu_init(), ENODEV no PMU_V3.
        Synchronization: waits while another thread is inside run().
        Source: devices/vcpu.rst 1.5.
        """
        count = check_int("count", count, 0, 2**32 - 1)
        self._set_pmu(lib.KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, struct.pack("=I", count))

    # Timers -----------------------------------------------------------------------------------

    @property
    def vtimer_irq(self) -> int:
        """intid of the virtual timer, a PPI of the whole VM: 27 at first.

        To be set with a GIC in the kernel, before the first run. That two timers share one is found
        out by run(), which fails with EINVAL.
        Errors: EINVAL no GIC or no PPI, EBUSY the VM has run.
        Source: devices/vcpu.rst 2; arm64.
        """
        return self._get_timer(lib.KVM_ARM_VCPU_TIMER_IRQ_VTIMER)

    @vtimer_irq.setter
    def vtimer_irq(self, intid: int) -> None:
        self._set_timer("vtimer_irq", lib.KVM_ARM_VCPU_TIMER_IRQ_VTIMER, intid)

    @property
    def ptimer_irq(self) -> int:
        """intid of the physical timer, 30 at first; as :attr:`vtimer_irq`; arm64."""
        return self._get_timer(lib.KVM_ARM_VCPU_TIMER_IRQ_PTIMER)

    @ptimer_irq.setter
    def ptimer_irq(self, intid: int) -> None:
        self._set_timer("ptimer_irq", lib.KVM_ARM_VCPU_TIMER_IRQ_PTIMER, intid)

    @property
    def hvtimer_irq(self) -> int:
        """intid of EL2's virtual timer, 28 at first; as :attr:`vtimer_irq`.

        ENXIO: an older kernel than 6.4.
        Source: devices/vcpu.rst 2; arm64.
        """
        return self._get_timer(lib.KVM_ARM_VCPU_TIMER_IRQ_HVTIMER)

    @hvtimer_irq.setter
    def hvtimer_irq(self, intid: int) -> None:
        self._set_timer("hvtimer_irq", lib.KVM_ARM_VCPU_TIMER_IRQ_HVTIMER, intid)

    @property
    def hptimer_irq(self) -> int:
        """intid of EL2's physical timer, 26 at first; as :attr:`vtimer_irq`.

        ENXIO: an older kernel than 6.4.
        Source: devices/vcpu.rst 2; arm64.
        """
        return self._get_timer(lib.KVM_ARM_VCPU_TIMER_IRQ_HPTIMER)

    @hptimer_irq.setter
    def hptimer_irq(self, intid: int) -> None:
        self._set_timer("hptimer_irq", lib.KVM_ARM_VCPU_TIMER_IRQ_HPTIMER, intid)

    # Stolen time ------------------------------------------------------------------------------

    @property
    def pvtime_ipa(self) -> int:
        """gpa of 64 bytes where the guest is told its stolen time; all ones while unset.

        Set it once, to a multiple of 64 in a memory slot. The guest asks for it by hypercall
        (SMCCC HV_PV_TIME_ST).
        Errors: ENXIO the host does not count it, EINVAL alignment or no slot, EEXIST set before.
        Source: devices/vcpu.rst 3; Arm DEN0057; arm64.
        """
        data = self._get(lib.KVM_ARM_VCPU_PVTIME_CTRL, lib.KVM_ARM_VCPU_PVTIME_IPA, 8)
        return int.from_bytes(data, "little")

    @pvtime_ipa.setter
    def pvtime_ipa(self, gpa: int) -> None:
        gpa = check_int("pvtime_ipa", gpa, 0, _U64)
        data = struct.pack("=Q", gpa)
        self._set(lib.KVM_ARM_VCPU_PVTIME_CTRL, lib.KVM_ARM_VCPU_PVTIME_IPA, data)

    # Their calls ------------------------------------------------------------------------------

    def _set(self, group: int, attr: int, value: bytes | None) -> None:
        data = ffi.NULL if value is None else ffi.new("uint8_t[]", roomy(value))
        attr_call(self._core, "KVM_SET_DEVICE_ATTR", group, attr, data, arm64=True)

    def _get(self, group: int, attr: int, size: int) -> bytes:
        data = ffi.new("uint8_t[]", roomy(bytes(size)))
        attr_call(self._core, "KVM_GET_DEVICE_ATTR", group, attr, data, arm64=True)
        return bytes(ffi.buffer(data, size))

    def _get_s32(self, group: int, attr: int) -> int:
        return int(struct.unpack("=i", self._get(group, attr, 4))[0])

    def _set_pmu(self, attr: int, value: bytes | None = None) -> None:
        self._set(lib.KVM_ARM_VCPU_PMU_V3_CTRL, attr, value)

    def _get_timer(self, attr: int) -> int:
        return self._get_s32(lib.KVM_ARM_VCPU_TIMER_CTRL, attr)

    def _set_timer(self, name: str, attr: int, intid: int) -> None:
        intid = check_int(name, intid, 16, _S32)
        self._set(lib.KVM_ARM_VCPU_TIMER_CTRL, attr, struct.pack("=i", intid))
