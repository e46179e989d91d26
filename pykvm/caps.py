# SPDX-License-Identifier: Apache-2.0
"""What KVM can be asked about itself."""

from __future__ import annotations

from pykvm._described import Described

__all__ = ["Cap", "cap_name"]


class Cap(Described):
    """A capability, without the ``KVM_CAP_`` of its kernel name.

    ``check_extension`` answers 0 for one that is missing, else 1 or what stands here. All that
    arm64 answers is listed; any other number can be asked as a plain int.

    A 0 is not always a no: some things exist without a capability, and only trying tells.

    Source: Documentation/virt/kvm/api.rst, sections 4.4, 6, 7 and 8.
    """

    IRQCHIP = 0, "1: the host can emulate a GIC in the kernel."
    USER_MEMORY = 3, "1: KVM_SET_USER_MEMORY_REGION."
    NR_VCPUS = 9, "vCPUs per VM that are advisable here: the CPUs online, at most MAX_VCPUS."
    NR_MEMSLOTS = 10, "Memory slots per VM."
    MP_STATE = 14, "1: vCPUs can be stopped and started from outside."
    COALESCED_MMIO = 15, "Page of the coalesced MMIO ring in the mapping of a vCPU; 0: none."
    SYNC_MMU = 16, "1: the mapping behind a slot may change while the guest runs."
    DESTROY_MEMORY_REGION_WORKS = 21, "1: slots can be deleted."
    SET_GUEST_DEBUG = 23, "1: breakpoints, watchpoints and single steps."
    IRQ_ROUTING = 25, "Entries that the interrupt routing table can have."
    JOIN_MEMORY_REGIONS_WORKS = 30, "1: adjacent slots may be joined."
    IRQFD = 32, "1: eventfds can inject interrupts."
    IOEVENTFD = 36, "1: stores of the guest can signal eventfds."
    INTERNAL_ERROR_DATA = 40, "1: an internal error comes with data."
    VCPU_EVENTS = 41, "1: SErrors and external aborts can be injected."
    MAX_VCPUS = 66, "Most vCPUs of a VM: 512 with a GICv3, 8 with a GICv2. Ask the VM too."
    ONE_REG = 70, "1: registers by id."
    SIGNAL_MSI = 77, "1: single MSIs can be sent to an ITS."
    READONLY_MEM = 81, "1: slots can be read-only."
    IRQFD_RESAMPLE = 82, "1: an irqfd can tell the end of a level interrupt through a resamplefd."
    ARM_PSCI = 87, "1: the kernel serves PSCI calls."
    ARM_SET_DEVICE_ADDR = 88, "1: the older call for the addresses of a GICv2."
    DEVICE_CTRL = 89, "1: devices are made and set up through descriptors of their own."
    ARM_EL1_32BIT = 93, "1: guest kernels may be AArch32."
    ENABLE_CAP_VM = 98, "1: some capabilities can be switched on for a VM; says nothing of which."
    ARM_PSCI_0_2 = 102, "1: PSCI 0.2 and newer."
    CHECK_EXTENSION_VM = 105, "1: a VM can be asked for its own answers."
    GUEST_DEBUG_HW_BPS = 119, "Hardware breakpoints."
    GUEST_DEBUG_HW_WPS = 120, "Hardware watchpoints."
    IOEVENTFD_ANY_LENGTH = 122, "1: an ioeventfd of size 0 takes stores of any width."
    ARM_PMU_V3 = 126, "1: vCPUs can have a performance monitor."
    VCPU_ATTRIBUTES = 127, "1: device attributes on vCPUs."
    MAX_VCPU_ID = 128, "vCPU numbers go from 0 to one less than this."
    MSI_DEVID = 131, "1 once the VM has an ITS: MSIs must name their device. EINVAL on /dev/kvm."
    IMMEDIATE_EXIT = 136, "1: kvm_run.immediate_exit makes KVM_RUN return at once."
    ARM_USER_IRQ = 144, "Version of the interface that shows timer and PMU lines in kvm_run."
    ARM_INJECT_SERROR_ESR = 158, "1: an injected SError can carry a syndrome."
    COALESCED_PIO = 162, "1, though arm64 has no port I/O."
    ARM_VM_IPA_SIZE = 165, "Widest guest physical address in bits; 0: only 40."
    MANUAL_DIRTY_LOG_PROTECT2 = (
        168,
        "Bits: 1 dirty logs can be cleared by range, 2 they can start all set.",
    )
    ARM_SVE = 170, "1: vCPUs can have SVE."
    ARM_PTRAUTH_ADDRESS = 171, "1: vCPUs can have address authentication."
    ARM_PTRAUTH_GENERIC = 172, "1: vCPUs can have generic authentication."
    ARM_IRQ_LINE_LAYOUT_2 = 174, "1: KVM_IRQ_LINE reaches vCPUs above 255."
    ARM_NISV_TO_USER = (
        177,
        "1: accesses that KVM cannot describe can come to userspace; to be enabled.",
    )
    ARM_INJECT_EXT_DABT = 178, "1: external data aborts can be injected."
    HALT_POLL = 182, "1: the time that a halting vCPU polls can be set per VM; to be enabled."
    STEAL_TIME = 187, "1: the guest can be told stolen time."
    DIRTY_LOG_RING = 192, "Always 0 on arm64, which has DIRTY_LOG_RING_ACQ_REL."
    SET_GUEST_DEBUG2 = 195, "Bits of the debug control word that are valid."
    PTP_KVM = 198, "1: the guest can read the host's clock."
    BINARY_STATS_FD = 203, "1: statistics through a descriptor."
    ARM_MTE = 205, "1: the guest can have memory tags; to be enabled."
    SYSTEM_EVENT_DATA = 215, "1: system events carry data."
    ARM_SYSTEM_SUSPEND = 216, "1: PSCI SYSTEM_SUSPEND can come to userspace; to be enabled."
    DIRTY_LOG_RING_ACQ_REL = 223, "Most bytes of a dirty ring; to be enabled."
    DIRTY_LOG_RING_WITH_BITMAP = 225, "1: a bitmap beside the dirty ring; to be enabled."
    COUNTER_OFFSET = 227, "1: the counters of a VM can be offset."
    ARM_EAGER_SPLIT_CHUNK_SIZE = (
        228,
        "Bytes by which huge pages are split ahead of dirty logging, 0 off; to be enabled.",
    )
    ARM_SUPPORTED_BLOCK_SIZES = 229, "Bits: the block sizes of stage 2, in bytes."
    ARM_SUPPORTED_REG_MASK_RANGES = (
        230,
        "Bits: ranges of ID registers whose writable bits can be asked.",
    )
    USER_MEMORY2 = 231, "1: KVM_SET_USER_MEMORY_REGION2."
    GUEST_MEMFD = 234, "1: guest_memfd."
    ARM_WRITABLE_IMP_ID_REGS = 239, "1: MIDR, REVIDR and AIDR can be written; to be enabled."
    ARM_EL2 = 240, "1: guests can be hypervisors (nested virtualisation)."
    ARM_EL2_E2H0 = 241, "1: guest hypervisors can run without VHE."
    ARM_CACHEABLE_PFNMAP_SUPPORTED = (
        243,
        "1: device memory can be mapped cacheable. EINVAL on /dev/kvm.",
    )
    GUEST_MEMFD_FLAGS = 244, "Bits: flags of guest_memfd."
    ARM_SEA_TO_USER = (
        245,
        "1: memory errors that the guest takes can come to userspace; to be enabled.",
    )
    ARM_PMU_V3_STRICT = 251, "1: a vCPU can demand that its PMU is chosen explicitly."


def cap_name(cap: int) -> object:
    """Name and number of a capability for people, or its number."""
    try:
        return f"{Cap(cap).name} {int(cap)}"
    except ValueError:
        return int(cap)
