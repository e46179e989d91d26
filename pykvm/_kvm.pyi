# SPDX-License-Identifier: Apache-2.0
# Made by `python cdefs/build.py --emit-stub`; a test checks that it is current.
from typing import Any

CData = Any
ffi: Any

class lib:
    PYKVM_CLOSED: int
    PYKVM_INSIDE: int
    PYKVM_NOT_ARM64: int
    PYKVM_HANDLING: int
    PYKVM_INTERRUPTED: int
    PYKVM_SIGNAL: int
    PYKVM_POISONED: int
    PYKVM_STORED: int
    KVM_GET_API_VERSION: int
    KVM_CREATE_VM: int
    KVM_CHECK_EXTENSION: int
    KVM_GET_VCPU_MMAP_SIZE: int
    KVM_API_VERSION: int
    KVM_VM_TYPE_ARM_IPA_SIZE_MASK: int
    KVM_CAP_IRQCHIP: int
    KVM_CAP_USER_MEMORY: int
    KVM_CAP_NR_VCPUS: int
    KVM_CAP_NR_MEMSLOTS: int
    KVM_CAP_MP_STATE: int
    KVM_CAP_COALESCED_MMIO: int
    KVM_CAP_SYNC_MMU: int
    KVM_CAP_DESTROY_MEMORY_REGION_WORKS: int
    KVM_CAP_SET_GUEST_DEBUG: int
    KVM_CAP_IRQ_ROUTING: int
    KVM_CAP_JOIN_MEMORY_REGIONS_WORKS: int
    KVM_CAP_IRQFD: int
    KVM_CAP_IOEVENTFD: int
    KVM_CAP_INTERNAL_ERROR_DATA: int
    KVM_CAP_VCPU_EVENTS: int
    KVM_CAP_MAX_VCPUS: int
    KVM_CAP_ONE_REG: int
    KVM_CAP_SIGNAL_MSI: int
    KVM_CAP_READONLY_MEM: int
    KVM_CAP_IRQFD_RESAMPLE: int
    KVM_CAP_ARM_PSCI: int
    KVM_CAP_ARM_SET_DEVICE_ADDR: int
    KVM_CAP_DEVICE_CTRL: int
    KVM_CAP_ARM_EL1_32BIT: int
    KVM_CAP_ENABLE_CAP_VM: int
    KVM_CAP_ARM_PSCI_0_2: int
    KVM_CAP_CHECK_EXTENSION_VM: int
    KVM_CAP_GUEST_DEBUG_HW_BPS: int
    KVM_CAP_GUEST_DEBUG_HW_WPS: int
    KVM_CAP_IOEVENTFD_ANY_LENGTH: int
    KVM_CAP_ARM_PMU_V3: int
    KVM_CAP_VCPU_ATTRIBUTES: int
    KVM_CAP_MAX_VCPU_ID: int
    KVM_CAP_MSI_DEVID: int
    KVM_CAP_IMMEDIATE_EXIT: int
    KVM_CAP_ARM_USER_IRQ: int
    KVM_CAP_ARM_INJECT_SERROR_ESR: int
    KVM_CAP_COALESCED_PIO: int
    KVM_CAP_ARM_VM_IPA_SIZE: int
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: int
    KVM_CAP_ARM_SVE: int
    KVM_CAP_ARM_PTRAUTH_ADDRESS: int
    KVM_CAP_ARM_PTRAUTH_GENERIC: int
    KVM_CAP_ARM_IRQ_LINE_LAYOUT_2: int
    KVM_CAP_ARM_NISV_TO_USER: int
    KVM_CAP_ARM_INJECT_EXT_DABT: int
    KVM_CAP_HALT_POLL: int
    KVM_CAP_STEAL_TIME: int
    KVM_CAP_DIRTY_LOG_RING: int
    KVM_CAP_SET_GUEST_DEBUG2: int
    KVM_CAP_PTP_KVM: int
    KVM_CAP_BINARY_STATS_FD: int
    KVM_CAP_ARM_MTE: int
    KVM_CAP_SYSTEM_EVENT_DATA: int
    KVM_CAP_ARM_SYSTEM_SUSPEND: int
    KVM_CAP_DIRTY_LOG_RING_ACQ_REL: int
    KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP: int
    KVM_CAP_COUNTER_OFFSET: int
    KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE: int
    KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES: int
    KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES: int
    KVM_CAP_USER_MEMORY2: int
    KVM_CAP_GUEST_MEMFD: int
    KVM_CAP_ARM_WRITABLE_IMP_ID_REGS: int
    KVM_CAP_ARM_EL2: int
    KVM_CAP_ARM_EL2_E2H0: int
    KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED: int
    KVM_CAP_GUEST_MEMFD_FLAGS: int
    KVM_CAP_ARM_SEA_TO_USER: int
    KVM_CAP_ARM_PMU_V3_STRICT: int
    KVM_CREATE_VCPU: int
    KVM_ENABLE_CAP: int
    KVM_SET_USER_MEMORY_REGION: int
    KVM_CREATE_IRQCHIP: int
    KVM_ARM_SET_DEVICE_ADDR: int
    KVM_IRQ_LINE: int
    KVM_IRQ_LINE_STATUS: int
    KVM_SET_GSI_ROUTING: int
    KVM_SIGNAL_MSI: int
    KVM_IRQFD: int
    KVM_IOEVENTFD: int
    KVM_CREATE_DEVICE: int
    KVM_ARM_PREFERRED_TARGET: int
    KVM_ARM_SET_COUNTER_OFFSET: int
    KVM_ARM_GET_REG_WRITABLE_MASKS: int
    KVM_MEM_LOG_DIRTY_PAGES: int
    KVM_MEM_READONLY: int
    KVM_ARM_IRQ_VCPU2_SHIFT: int
    KVM_ARM_IRQ_VCPU2_MASK: int
    KVM_ARM_IRQ_TYPE_SHIFT: int
    KVM_ARM_IRQ_VCPU_SHIFT: int
    KVM_ARM_IRQ_VCPU_MASK: int
    KVM_ARM_IRQ_NUM_MASK: int
    KVM_ARM_IRQ_TYPE_CPU: int
    KVM_ARM_IRQ_TYPE_SPI: int
    KVM_ARM_IRQ_TYPE_PPI: int
    KVM_ARM_IRQ_CPU_IRQ: int
    KVM_ARM_IRQ_CPU_FIQ: int
    KVM_IRQFD_FLAG_DEASSIGN: int
    KVM_IRQFD_FLAG_RESAMPLE: int
    KVM_IRQ_ROUTING_IRQCHIP: int
    KVM_IRQ_ROUTING_MSI: int
    KVM_MSI_VALID_DEVID: int
    KVM_IOEVENTFD_FLAG_DATAMATCH: int
    KVM_IOEVENTFD_FLAG_PIO: int
    KVM_IOEVENTFD_FLAG_DEASSIGN: int
    KVM_CREATE_DEVICE_TEST: int
    KVM_ARM_FEATURE_ID_RANGE: int
    KVM_ARM_FEATURE_ID_RANGE_SIZE: int
    KVM_SET_USER_MEMORY_REGION2: int
    KVM_CREATE_GUEST_MEMFD: int
    KVM_GET_DIRTY_LOG: int
    KVM_CLEAR_DIRTY_LOG: int
    KVM_RESET_DIRTY_RINGS: int
    KVM_ARM_MTE_COPY_TAGS: int
    KVM_MEM_GUEST_MEMFD: int
    GUEST_MEMFD_FLAG_MMAP: int
    GUEST_MEMFD_FLAG_INIT_SHARED: int
    KVM_ARM_TAGS_TO_GUEST: int
    KVM_ARM_TAGS_FROM_GUEST: int
    KVM_SET_DEVICE_ATTR: int
    KVM_GET_DEVICE_ATTR: int
    KVM_HAS_DEVICE_ATTR: int
    KVM_DEV_TYPE_VFIO: int
    KVM_DEV_TYPE_ARM_VGIC_V2: int
    KVM_DEV_TYPE_ARM_VGIC_V3: int
    KVM_DEV_TYPE_ARM_VGIC_ITS: int
    KVM_DEV_TYPE_ARM_PV_TIME: int
    KVM_DEV_TYPE_ARM_VGIC_V5: int
    KVM_DEV_VFIO_FILE: int
    KVM_DEV_VFIO_FILE_ADD: int
    KVM_DEV_VFIO_FILE_DEL: int
    KVM_DEV_ARM_VGIC_GRP_ADDR: int
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS: int
    KVM_DEV_ARM_VGIC_GRP_CPU_REGS: int
    KVM_DEV_ARM_VGIC_GRP_NR_IRQS: int
    KVM_DEV_ARM_VGIC_GRP_CTRL: int
    KVM_DEV_ARM_VGIC_GRP_REDIST_REGS: int
    KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS: int
    KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO: int
    KVM_DEV_ARM_VGIC_GRP_ITS_REGS: int
    KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ: int
    KVM_DEV_ARM_VGIC_CTRL_INIT: int
    KVM_DEV_ARM_ITS_SAVE_TABLES: int
    KVM_DEV_ARM_ITS_RESTORE_TABLES: int
    KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES: int
    KVM_DEV_ARM_ITS_CTRL_RESET: int
    KVM_DEV_ARM_VGIC_CPUID_SHIFT: int
    KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT: int
    KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK: int
    KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT: int
    VGIC_LEVEL_INFO_LINE_LEVEL: int
    KVM_DEV_ARM_VGIC_USERSPACE_PPIS: int
    KVM_VGIC_V2_ADDR_TYPE_DIST: int
    KVM_VGIC_V2_ADDR_TYPE_CPU: int
    KVM_VGIC_V3_ADDR_TYPE_DIST: int
    KVM_VGIC_V3_ADDR_TYPE_REDIST: int
    KVM_VGIC_ITS_ADDR_TYPE: int
    KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: int
    KVM_VGIC_V2_DIST_SIZE: int
    KVM_VGIC_V2_CPU_SIZE: int
    KVM_VGIC_V3_DIST_SIZE: int
    KVM_VGIC_V3_REDIST_SIZE: int
    KVM_VGIC_V3_ITS_SIZE: int
    PYKVM_LARGEST_ATTRIBUTE: int
    KVM_ARM_VCPU_PMU_V3_CTRL: int
    KVM_ARM_VCPU_PMU_V3_IRQ: int
    KVM_ARM_VCPU_PMU_V3_INIT: int
    KVM_ARM_VCPU_PMU_V3_FILTER: int
    KVM_ARM_VCPU_PMU_V3_SET_PMU: int
    KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS: int
    KVM_ARM_VCPU_TIMER_CTRL: int
    KVM_ARM_VCPU_TIMER_IRQ_VTIMER: int
    KVM_ARM_VCPU_TIMER_IRQ_PTIMER: int
    KVM_ARM_VCPU_TIMER_IRQ_HVTIMER: int
    KVM_ARM_VCPU_TIMER_IRQ_HPTIMER: int
    KVM_ARM_VCPU_PVTIME_CTRL: int
    KVM_ARM_VCPU_PVTIME_IPA: int
    KVM_PMU_EVENT_ALLOW: int
    KVM_PMU_EVENT_DENY: int
    KVM_ARM_VM_SMCCC_CTRL: int
    KVM_ARM_VM_SMCCC_FILTER: int
    KVM_SMCCC_FILTER_HANDLE: int
    KVM_SMCCC_FILTER_DENY: int
    KVM_SMCCC_FILTER_FWD_TO_USER: int
    KVM_RUN: int
    KVM_GET_ONE_REG: int
    KVM_SET_ONE_REG: int
    KVM_ARM_VCPU_INIT: int
    KVM_GET_REG_LIST: int
    KVM_ARM_VCPU_FINALIZE: int
    KVM_ARM_VCPU_POWER_OFF: int
    KVM_ARM_VCPU_EL1_32BIT: int
    KVM_ARM_VCPU_PSCI_0_2: int
    KVM_ARM_VCPU_PMU_V3: int
    KVM_ARM_VCPU_SVE: int
    KVM_ARM_VCPU_PTRAUTH_ADDRESS: int
    KVM_ARM_VCPU_PTRAUTH_GENERIC: int
    KVM_ARM_VCPU_HAS_EL2: int
    KVM_ARM_VCPU_HAS_EL2_E2H0: int
    KVM_ARM_VCPU_PMU_V3_STRICT: int
    KVM_EXIT_UNKNOWN: int
    KVM_EXIT_HYPERCALL: int
    KVM_EXIT_DEBUG: int
    KVM_EXIT_MMIO: int
    KVM_EXIT_FAIL_ENTRY: int
    KVM_EXIT_INTR: int
    KVM_EXIT_INTERNAL_ERROR: int
    KVM_EXIT_SYSTEM_EVENT: int
    KVM_EXIT_ARM_NISV: int
    KVM_EXIT_DIRTY_RING_FULL: int
    KVM_EXIT_MEMORY_FAULT: int
    KVM_EXIT_ARM_SEA: int
    KVM_EXIT_ARM_LDST64B: int
    KVM_DEBUG_ARCH_HSR_HIGH_VALID: int
    KVM_HYPERCALL_EXIT_SMC: int
    KVM_HYPERCALL_EXIT_16BIT: int
    KVM_EXIT_ARM_SEA_FLAG_GPA_VALID: int
    KVM_SYSTEM_EVENT_SHUTDOWN: int
    KVM_SYSTEM_EVENT_RESET: int
    KVM_SYSTEM_EVENT_CRASH: int
    KVM_SYSTEM_EVENT_WAKEUP: int
    KVM_SYSTEM_EVENT_SUSPEND: int
    KVM_ARM_DEV_EL1_VTIMER: int
    KVM_ARM_DEV_EL1_PTIMER: int
    KVM_ARM_DEV_PMU: int
    KVM_SET_SIGNAL_MASK: int
    KVM_GET_MP_STATE: int
    KVM_SET_MP_STATE: int
    KVM_SET_GUEST_DEBUG: int
    KVM_GET_VCPU_EVENTS: int
    KVM_SET_VCPU_EVENTS: int
    KVM_MP_STATE_RUNNABLE: int
    KVM_MP_STATE_STOPPED: int
    KVM_MP_STATE_SUSPENDED: int
    KVM_GUESTDBG_ENABLE: int
    KVM_GUESTDBG_SINGLESTEP: int
    KVM_GUESTDBG_USE_SW_BP: int
    KVM_GUESTDBG_USE_HW: int
    KVM_ARM_MAX_DBG_REGS: int
    KVM_DIRTY_GFN_F_DIRTY: int
    KVM_DIRTY_GFN_F_RESET: int
    KVM_REGISTER_COALESCED_MMIO: int
    KVM_UNREGISTER_COALESCED_MMIO: int
    PYKVM_LOADS: int
    PYKVM_EXITS: int
    PYKVM_DRAIN: int
    PYKVM_TOO_WIDE: int
    PYKVM_UNSEEN: int
    PYKVM_NOTHING: int
    PYKVM_AGAIN: int
    PYKVM_RANGE_HANDLER: int
    PYKVM_RANGE_IGNORE: int
    PYKVM_RANGE_CONSTANT: int
    PYKVM_RANGE_LATCH: int
    PYKVM_RANGE_COUNTER: int
    PYKVM_RANGE_RING: int
    PYKVM_RANGE_STATUS: int
    KVM_REG_ARM64: int
    KVM_REG_SIZE_SHIFT: int
    KVM_REG_SIZE_MASK: int
    KVM_REG_SIZE_U32: int
    KVM_REG_SIZE_U64: int
    KVM_REG_SIZE_U128: int
    KVM_REG_SIZE_U256: int
    KVM_REG_SIZE_U2048: int
    KVM_REG_ARM_COPROC_MASK: int
    KVM_REG_ARM_COPROC_SHIFT: int
    KVM_REG_ARM_CORE: int
    KVM_REG_ARM_DEMUX: int
    KVM_REG_ARM64_SYSREG: int
    KVM_REG_ARM_FW: int
    KVM_REG_ARM64_SVE: int
    KVM_REG_ARM_FW_FEAT_BMAP: int
    KVM_REG_ARM64_SYSREG_OP0_SHIFT: int
    KVM_REG_ARM64_SYSREG_OP1_SHIFT: int
    KVM_REG_ARM64_SYSREG_CRN_SHIFT: int
    KVM_REG_ARM64_SYSREG_CRM_SHIFT: int
    KVM_REG_ARM64_SYSREG_OP2_SHIFT: int
    KVM_REG_ARM_TIMER_CVAL: int
    KVM_REG_ARM_TIMER_CNT: int
    KVM_REG_ARM64_SVE_ZREG_BASE: int
    KVM_REG_ARM64_SVE_PREG_BASE: int
    KVM_REG_ARM64_SVE_FFR_BASE: int
    KVM_REG_ARM64_SVE_VLS: int
    KVM_REG_ARM_PSCI_VERSION: int
    KVM_REG_ARM_STD_BMAP: int
    KVM_GET_STATS_FD: int
    KVM_STATS_TYPE_SHIFT: int
    KVM_STATS_TYPE_MASK: int
    KVM_STATS_TYPE_CUMULATIVE: int
    KVM_STATS_TYPE_INSTANT: int
    KVM_STATS_TYPE_PEAK: int
    KVM_STATS_TYPE_LINEAR_HIST: int
    KVM_STATS_TYPE_LOG_HIST: int
    KVM_STATS_UNIT_SHIFT: int
    KVM_STATS_UNIT_MASK: int
    KVM_STATS_UNIT_NONE: int
    KVM_STATS_UNIT_BYTES: int
    KVM_STATS_UNIT_SECONDS: int
    KVM_STATS_UNIT_CYCLES: int
    KVM_STATS_UNIT_BOOLEAN: int
    KVM_STATS_BASE_SHIFT: int
    KVM_STATS_BASE_MASK: int
    KVM_STATS_BASE_POW10: int
    KVM_STATS_BASE_POW2: int
    @staticmethod
    def close_once(made: CData, /) -> int: ...
    @staticmethod
    def forks_seen() -> int: ...
    @staticmethod
    def get_api_version(kvm: int, /) -> int: ...
    @staticmethod
    def create_vm(kvm: int, type: int, made: CData, /) -> int: ...
    @staticmethod
    def check_extension(kvm_or_vm: int, cap: int, /) -> int: ...
    @staticmethod
    def get_vcpu_mmap_size(kvm: int, /) -> int: ...
    @staticmethod
    def any_ioctl(fd: int, number: int, argument: int, /) -> int: ...
    @staticmethod
    def create_vcpu(vm: int, vcpu_id: int, made: CData, /) -> int: ...
    @staticmethod
    def set_user_memory_region(vm: int, slot: int, flags: int, gpa: int, size: int, hva: int, /) -> int: ...
    @staticmethod
    def create_device(vm: int, type: int, made: CData, /) -> int: ...
    @staticmethod
    def test_device(vm: int, type: int, /) -> int: ...
    @staticmethod
    def arm_preferred_target(vm: int, init: CData, /) -> int: ...
    @staticmethod
    def create_irqchip(vm: int, /) -> int: ...
    @staticmethod
    def arm_set_device_addr(vm: int, id: int, addr: int, /) -> int: ...
    @staticmethod
    def arm_get_reg_writable_masks(vm: int, masks: CData, /) -> int: ...
    @staticmethod
    def irq_line(vm: int, line: int, level: int, /) -> int: ...
    @staticmethod
    def irq_line_status(vm: int, line: int, level: int, /) -> int: ...
    @staticmethod
    def spi_line(vm: int, intid: int, level: int, /) -> int: ...
    @staticmethod
    def irqfd(vm: int, fd: int, gsi: int, flags: int, resamplefd: int, /) -> int: ...
    @staticmethod
    def ioeventfd(vm: int, fd: int, gpa: int, size: int, datamatch: int, flags: int, /) -> int: ...
    @staticmethod
    def set_gsi_routing(vm: int, table: CData, /) -> int: ...
    @staticmethod
    def signal_msi(vm: int, address: int, data: int, devid: int, flags: int, /) -> int: ...
    @staticmethod
    def enable_cap(vm: int, cap: int, flags: int, first: int, second: int, third: int, fourth: int, /) -> int: ...
    @staticmethod
    def arm_set_counter_offset(vm: int, offset: int, /) -> int: ...
    @staticmethod
    def create_guest_memfd(vm: int, size: int, flags: int, made: CData, /) -> int: ...
    @staticmethod
    def set_guest_memfd_region(vm: int, slot: int, gpa: int, size: int, hva: int, fd: int, offset: int, /) -> int: ...
    @staticmethod
    def fill_range(fd: int, punch: int, offset: int, size: int, /) -> int: ...
    @staticmethod
    def get_dirty_log(vm: int, slot: int, bitmap: CData, /) -> int: ...
    @staticmethod
    def clear_dirty_log(vm: int, slot: int, first_page: int, num_pages: int, bitmap: CData, /) -> int: ...
    @staticmethod
    def reset_dirty_rings(vm: int, /) -> int: ...
    @staticmethod
    def arm_mte_copy_tags(vm: int, gpa: int, size: int, tags: CData, flags: int, /) -> int: ...
    @staticmethod
    def set_device_attr(fd: int, group: int, attr: int, data: CData, /) -> int: ...
    @staticmethod
    def get_device_attr(fd: int, group: int, attr: int, data: CData, /) -> int: ...
    @staticmethod
    def get_attr_number(fd: int, group: int, attr: int, /) -> int: ...
    @staticmethod
    def has_device_attr(fd: int, group: int, attr: int, /) -> int: ...
    @staticmethod
    def set_arm64_attr(fd: int, group: int, attr: int, data: CData, /) -> int: ...
    @staticmethod
    def get_arm64_attr(fd: int, group: int, attr: int, data: CData, /) -> int: ...
    @staticmethod
    def has_arm64_attr(fd: int, group: int, attr: int, /) -> int: ...
    @staticmethod
    def arm_vcpu_init(vcpu: int, init: CData, /) -> int: ...
    @staticmethod
    def arm_vcpu_finalize(vcpu: int, feature: int, /) -> int: ...
    @staticmethod
    def get_one_reg(vcpu: int, id: int, /) -> int: ...
    @staticmethod
    def set_one_reg(vcpu: int, id: int, value: int, /) -> int: ...
    @staticmethod
    def get_wide_reg(vcpu: int, id: int, data: CData, /) -> int: ...
    @staticmethod
    def set_wide_reg(vcpu: int, id: int, data: CData, /) -> int: ...
    @staticmethod
    def get_reg_list(vcpu: int, list: CData, /) -> int: ...
    @staticmethod
    def get_mp_state(vcpu: int, /) -> int: ...
    @staticmethod
    def set_mp_state(vcpu: int, mp_state: int, /) -> int: ...
    @staticmethod
    def get_vcpu_events(vcpu: int, events: CData, /) -> int: ...
    @staticmethod
    def set_vcpu_events(vcpu: int, events: CData, /) -> int: ...
    @staticmethod
    def set_guest_debug(vcpu: int, debug: CData, /) -> int: ...
    @staticmethod
    def set_signal_mask(vcpu: int, blocked: int, /) -> int: ...
    @staticmethod
    def clear_signal_mask(vcpu: int, /) -> int: ...
    @staticmethod
    def registers_open(set: CData, each: CData, count: int, /) -> None: ...
    @staticmethod
    def get_registers(vcpu: int, set: CData, /) -> int: ...
    @staticmethod
    def set_registers(vcpu: int, set: CData, /) -> int: ...
    @staticmethod
    def registers_done(set: CData, /) -> int: ...
    @staticmethod
    def get_stats_fd(vm_or_vcpu: int, made: CData, /) -> int: ...
    @staticmethod
    def gate_make(gate: CData, count: int, /) -> int: ...
    @staticmethod
    def gate_adopt(gate: CData, fd: int, /) -> int: ...
    @staticmethod
    def gate_signal(gate: CData, /) -> int: ...
    @staticmethod
    def gate_signal_many(gate: CData, events: int, /) -> int: ...
    @staticmethod
    def gate_take(gate: CData, /) -> int: ...
    @staticmethod
    def gate_close(gate: CData, /) -> None: ...
    @staticmethod
    def state_new(words: int, /) -> CData: ...
    @staticmethod
    def state_drop(state: CData, /) -> None: ...
    @staticmethod
    def state_fill(state: CData, bytes: CData, n: int, /) -> None: ...
    @staticmethod
    def latch_value(state: CData, /) -> int: ...
    @staticmethod
    def latch_set(state: CData, value: int, /) -> None: ...
    @staticmethod
    def counter_loads(state: CData, /) -> int: ...
    @staticmethod
    def counter_stores(state: CData, /) -> int: ...
    @staticmethod
    def ring_take(ring: CData, taken: CData, room: int, n: CData, /) -> int: ...
    @staticmethod
    def ring_handed_on(ring: CData, /) -> None: ...
    @staticmethod
    def ring_announce(ring: CData, fd: int, /) -> int: ...
    @staticmethod
    def bus_open(bus: CData, /) -> None: ...
    @staticmethod
    def bus_next_range(bus: CData, /) -> int: ...
    @staticmethod
    def bus_next_slots(bus: CData, /) -> int: ...
    @staticmethod
    def bus_add(bus: CData, id: int, gpa: int, size: int, kind: int, slots: int, handled: int, state: CData, /) -> int: ...
    @staticmethod
    def bus_remove(bus: CData, id: int, /) -> int: ...
    @staticmethod
    def bus_close(bus: CData, /) -> None: ...
    @staticmethod
    def bus_access(bus: CData, gpa: int, is_write: int, access: CData, /) -> int: ...
    @staticmethod
    def bus_handed_on(bus: CData, /) -> None: ...
    @staticmethod
    def bus_watch_coalesced(bus: CData, offset: int, size: int, /) -> None: ...
    @staticmethod
    def claim_kick_signal(wanted: int, /) -> int: ...
    @staticmethod
    def vcpu_open(vcpu: CData, fd: int, run: CData, signal: int, bus: CData, /) -> int: ...
    @staticmethod
    def vcpu_exit(vcpu: CData, /) -> CData: ...
    @staticmethod
    def vcpu_access(vcpu: CData, /) -> CData: ...
    @staticmethod
    def vcpu_masked(vcpu: CData, masked: int, blocked: int, /) -> int: ...
    @staticmethod
    def vcpu_device_lines(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_pending_load(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_reply(vcpu: CData, value: int, /) -> int: ...
    @staticmethod
    def vcpu_kick(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_take_kick(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_busy(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_thread(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_stop(vcpu: CData, undo: int, /) -> int: ...
    @staticmethod
    def vcpu_close(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_reopen(vcpu: CData, run: CData, /) -> None: ...
    @staticmethod
    def vcpu_run(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_refusal(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_owed(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_go_on(vcpu: CData, /) -> int: ...
    @staticmethod
    def vcpu_reply_and_go_on(vcpu: CData, value: int, /) -> int: ...
    @staticmethod
    def vcpu_give_up(vcpu: CData, undelivered: int, /) -> None: ...
    @staticmethod
    def vcpu_take_exit(vcpu: CData, /) -> None: ...
    @staticmethod
    def vcpu_complete_mmio(vcpu: CData, /) -> int: ...
    @staticmethod
    def dirty_ring_page() -> int: ...
    @staticmethod
    def dirty_ring_open(ring: CData, entries: CData, count: int, /) -> None: ...
    @staticmethod
    def dirty_ring_harvest(ring: CData, taken: CData, room: int, n: CData, /) -> int: ...
    @staticmethod
    def dirty_ring_close(ring: CData, /) -> None: ...
    @staticmethod
    def drain_coalesced_mmio(vcpu: CData, offset: int, size: int, taken: CData, room: int, n: CData, /) -> int: ...
    @staticmethod
    def register_coalesced_mmio(vm: int, gpa: int, size: int, /) -> int: ...
    @staticmethod
    def unregister_coalesced_mmio(vm: int, gpa: int, size: int, /) -> int: ...
    @staticmethod
    def walk_open(walk: CData, bitmap: CData, words: int, gap: int, found: CData, room: int, /) -> None: ...
    @staticmethod
    def walk_pages(walk: CData, /) -> int: ...
    @staticmethod
    def walk_runs(walk: CData, /) -> int: ...
    @staticmethod
    def bitmap_count(bitmap: CData, words: int, /) -> int: ...
    @staticmethod
    def memory_fence() -> None: ...
    @staticmethod
    def load_scalar(memory: CData, size: int, offset: int, width: int, /) -> int: ...
    @staticmethod
    def load_acquire(memory: CData, size: int, offset: int, width: int, /) -> int: ...
    @staticmethod
    def store_scalar(memory: CData, size: int, offset: int, width: int, value: int, /) -> int: ...
    @staticmethod
    def store_release(memory: CData, size: int, offset: int, width: int, value: int, /) -> int: ...
