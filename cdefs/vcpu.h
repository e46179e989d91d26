/* SPDX-License-Identifier: Apache-2.0
 *
 * The vCPU descriptor, and the page that it shares with the kernel.
 */
struct kvm_sync_regs { /* 3.9 arm64 */
	uint64_t device_irq_level;
};

struct kvm_debug_exit_arch { /* 4.2 arm64 */
	uint32_t hsr;
	uint32_t hsr_high; /* 5.19 arm64 */
	uint64_t far;
};

/* cr8 and apic_base, like the members before exit_reason, are x86's; arm64 keeps their room. */
struct kvm_run { /* 3.9 */
	uint8_t request_interrupt_window;
	uint8_t immediate_exit;
	uint8_t padding1[6];
	uint32_t exit_reason;
	uint8_t ready_for_interrupt_injection;
	uint8_t if_flag;
	uint16_t flags;
	uint64_t cr8;
	uint64_t apic_base;
	union {
		struct {
			uint64_t hardware_exit_reason;
		} hw;
		struct {
			uint64_t hardware_entry_failure_reason;
			uint32_t cpu;
		} fail_entry;
		struct {
			struct kvm_debug_exit_arch arch;
		} debug; /* 4.2 arm64 */
		struct {
			uint64_t phys_addr;
			uint8_t data[8];
			uint32_t len;
			uint8_t is_write;
		} mmio;
		struct { /* 6.1 has another word in the place of `flags` */
			uint64_t nr;
			uint64_t args[6];
			uint64_t ret;
			uint64_t flags;
		} hypercall; /* 6.4 */
		struct {
			uint32_t suberror;
			uint32_t ndata;
			uint64_t data[16];
		} internal;
		struct {
			uint32_t type;
			uint32_t ndata;
			uint64_t data[16];
		} system_event;
		struct { /* also that of ARM_LDST64B */
			uint64_t esr_iss;
			uint64_t fault_ipa;
		} arm_nisv; /* 5.5 */
		struct {
			uint64_t flags;
			uint64_t gpa;
			uint64_t size;
		} memory_fault; /* 6.8 */
		struct {
			uint64_t flags;
			uint64_t esr;
			uint64_t gva;
			uint64_t gpa;
		} arm_sea; /* 6.19 */
		char padding[256];
	};
	uint64_t kvm_valid_regs;
	uint64_t kvm_dirty_regs;
	union {
		struct kvm_sync_regs regs; /* 3.9 arm64 */
		char padding[2048];
	} s;
};

struct kvm_one_reg { /* 3.9 */
	uint64_t id;
	uint64_t addr;
};

struct kvm_reg_list { /* 3.9 */
	uint64_t n;
	uint64_t reg[];
};

#define KVM_RUN KVM_NONE(0x80) /* 3.9 */
#define KVM_GET_ONE_REG KVM_WRITES(0xab, struct kvm_one_reg) /* 3.9 */
#define KVM_SET_ONE_REG KVM_WRITES(0xac, struct kvm_one_reg) /* 3.9 */
#define KVM_ARM_VCPU_INIT KVM_WRITES(0xae, struct kvm_vcpu_init) /* 3.9 arm64 */
#define KVM_GET_REG_LIST KVM_EXCHANGES(0xb0, struct kvm_reg_list) /* 3.9 */
#define KVM_ARM_VCPU_FINALIZE KVM_WRITES(0xc2, int) /* 5.2 arm64 */

/* Bits of kvm_vcpu_init.features. */
#define KVM_ARM_VCPU_POWER_OFF 0 /* 3.9 arm64 */
#define KVM_ARM_VCPU_EL1_32BIT 1 /* 3.11 arm64 */
#define KVM_ARM_VCPU_PSCI_0_2 2 /* 3.16 arm64 */
#define KVM_ARM_VCPU_PMU_V3 3 /* 4.6 arm64 */
#define KVM_ARM_VCPU_SVE 4 /* 5.2 arm64 */
#define KVM_ARM_VCPU_PTRAUTH_ADDRESS 5 /* 5.2 arm64 */
#define KVM_ARM_VCPU_PTRAUTH_GENERIC 6 /* 5.2 arm64 */
#define KVM_ARM_VCPU_HAS_EL2 7 /* 6.4 arm64 */
#define KVM_ARM_VCPU_HAS_EL2_E2H0 8 /* 6.15 arm64 */
#define KVM_ARM_VCPU_PMU_V3_STRICT 9 /* 7.3 arm64 */

#define KVM_EXIT_UNKNOWN 0 /* 3.9 */
#define KVM_EXIT_HYPERCALL 3 /* 3.9 */
#define KVM_EXIT_DEBUG 4 /* 3.9 */
#define KVM_EXIT_MMIO 6 /* 3.9 */
#define KVM_EXIT_FAIL_ENTRY 9 /* 3.9 */
#define KVM_EXIT_INTR 10 /* 3.9 */
#define KVM_EXIT_INTERNAL_ERROR 17 /* 3.9 */
#define KVM_EXIT_SYSTEM_EVENT 24 /* 3.16 */
#define KVM_EXIT_ARM_NISV 28 /* 5.5 */
#define KVM_EXIT_DIRTY_RING_FULL 31 /* 5.11 */
#define KVM_EXIT_MEMORY_FAULT 39 /* 6.8 */
#define KVM_EXIT_ARM_SEA 41 /* 6.19 */
#define KVM_EXIT_ARM_LDST64B 42 /* 7.0 */

/* In kvm_run.flags: the debug exit has hsr_high. */
#define KVM_DEBUG_ARCH_HSR_HIGH_VALID 1 /* 5.19 arm64 */
#define KVM_HYPERCALL_EXIT_SMC 1 /* 6.4 arm64 */
#define KVM_HYPERCALL_EXIT_16BIT 2 /* 6.4 arm64 */
#define KVM_EXIT_ARM_SEA_FLAG_GPA_VALID 1 /* 6.19 */

#define KVM_SYSTEM_EVENT_SHUTDOWN 1 /* 3.16 */
#define KVM_SYSTEM_EVENT_RESET 2 /* 3.16 */
#define KVM_SYSTEM_EVENT_CRASH 3 /* 4.1 */
#define KVM_SYSTEM_EVENT_WAKEUP 4 /* 5.19 */
#define KVM_SYSTEM_EVENT_SUSPEND 5 /* 5.19 */

/* Bits of kvm_sync_regs.device_irq_level. */
#define KVM_ARM_DEV_EL1_VTIMER 1 /* 4.12 arm64 */
#define KVM_ARM_DEV_EL1_PTIMER 2 /* 4.12 arm64 */
#define KVM_ARM_DEV_PMU 4 /* 4.12 arm64 */
