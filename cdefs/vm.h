/* SPDX-License-Identifier: Apache-2.0
 *
 * The VM descriptor.
 */
struct kvm_userspace_memory_region { /* 3.9 */
	uint32_t slot;
	uint32_t flags;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
};

/* Of the argument's `irq`: arm64 packs a type and a vCPU index beside the INTID. */
struct kvm_irq_level { /* 3.9 */
	uint32_t irq;
	uint32_t level;
};

/* Of the argument's `id`: the device in bits 16 and up (0: the GICv2), what of it below. */
struct kvm_arm_device_addr { /* 3.9 */
	uint64_t id;
	uint64_t addr;
};

struct kvm_irqfd { /* 4.1 */
	uint32_t fd;
	uint32_t gsi;
	uint32_t flags;
	uint32_t resamplefd;
	uint8_t pad[16];
};

struct kvm_ioeventfd { /* 4.1 */
	uint64_t datamatch;
	uint64_t addr;
	uint32_t len;
	int32_t fd;
	uint32_t flags;
	uint8_t pad[36];
};

struct kvm_msi { /* 3.9 */
	uint32_t address_lo;
	uint32_t address_hi;
	uint32_t data;
	uint32_t flags;
	uint32_t devid;
	uint8_t pad[12];
};

struct kvm_irq_routing_irqchip { /* 3.9 */
	uint32_t irqchip;
	uint32_t pin;
};

struct kvm_irq_routing_msi { /* 3.9 */
	uint32_t address_lo;
	uint32_t address_hi;
	uint32_t data;
	union {
		uint32_t pad;
		uint32_t devid;
	};
};

struct kvm_irq_routing_entry { /* 3.9 */
	uint32_t gsi;
	uint32_t type;
	uint32_t flags;
	uint32_t pad;
	union {
		struct kvm_irq_routing_irqchip irqchip;
		struct kvm_irq_routing_msi msi;
		uint32_t pad[8];
	} u;
};

struct kvm_irq_routing { /* 3.9 */
	uint32_t nr;
	uint32_t flags;
	struct kvm_irq_routing_entry entries[];
};

struct kvm_create_device { /* 3.14 */
	uint32_t type;
	uint32_t fd;
	uint32_t flags;
};

struct kvm_vcpu_init { /* 3.9 arm64 */
	uint32_t target;
	uint32_t features[7];
};

struct reg_mask_range { /* 6.7 arm64 */
	uint64_t addr;
	uint32_t range;
	uint32_t reserved[13];
};

struct kvm_enable_cap { /* 3.9 */
	uint32_t cap;
	uint32_t flags;
	uint64_t args[4];
	uint8_t pad[64];
};

struct kvm_arm_counter_offset { /* 6.4 arm64 */
	uint64_t counter_offset;
	uint64_t reserved;
};

#define KVM_CREATE_VCPU KVM_NONE(0x41) /* 3.9 */
#define KVM_ENABLE_CAP KVM_WRITES(0xa3, struct kvm_enable_cap) /* 3.9 */
#define KVM_SET_USER_MEMORY_REGION KVM_WRITES(0x46, struct kvm_userspace_memory_region) /* 3.9 */
#define KVM_CREATE_IRQCHIP KVM_NONE(0x60) /* 3.9 */
#define KVM_ARM_SET_DEVICE_ADDR KVM_WRITES(0xab, struct kvm_arm_device_addr) /* 3.9 */
#define KVM_IRQ_LINE KVM_WRITES(0x61, struct kvm_irq_level) /* 3.9 */
#define KVM_IRQ_LINE_STATUS KVM_EXCHANGES(0x67, struct kvm_irq_level) /* 3.9 */
#define KVM_SET_GSI_ROUTING KVM_WRITES(0x6a, struct kvm_irq_routing) /* 3.9 */
#define KVM_SIGNAL_MSI KVM_WRITES(0xa5, struct kvm_msi) /* 3.9 */
#define KVM_IRQFD KVM_WRITES(0x76, struct kvm_irqfd) /* 4.1 */
#define KVM_IOEVENTFD KVM_WRITES(0x79, struct kvm_ioeventfd) /* 4.1 */
#define KVM_CREATE_DEVICE KVM_EXCHANGES(0xe0, struct kvm_create_device) /* 3.14 */
#define KVM_ARM_PREFERRED_TARGET KVM_READS(0xaf, struct kvm_vcpu_init) /* 3.13 arm64 */
#define KVM_ARM_SET_COUNTER_OFFSET KVM_WRITES(0xb5, struct kvm_arm_counter_offset) /* 6.4 arm64 */
#define KVM_ARM_GET_REG_WRITABLE_MASKS KVM_READS(0xb6, struct reg_mask_range) /* 6.7 arm64 */

/* Flags of a memory slot. */
#define KVM_MEM_LOG_DIRTY_PAGES 1 /* 3.9 */
#define KVM_MEM_READONLY 2 /* 3.9 */

/* How KVM_IRQ_LINE packs its number on arm64. */
#define KVM_ARM_IRQ_VCPU2_SHIFT 28 /* 5.4 arm64 */
#define KVM_ARM_IRQ_VCPU2_MASK 0xf /* 5.4 arm64 */
#define KVM_ARM_IRQ_TYPE_SHIFT 24 /* 3.9 arm64 */
#define KVM_ARM_IRQ_VCPU_SHIFT 16 /* 3.9 arm64 */
#define KVM_ARM_IRQ_VCPU_MASK 0xff /* 3.9 arm64 */
#define KVM_ARM_IRQ_NUM_MASK 0xffff /* 3.9 arm64 */
#define KVM_ARM_IRQ_TYPE_CPU 0 /* 3.9 arm64 */
#define KVM_ARM_IRQ_TYPE_SPI 1 /* 3.9 arm64 */
#define KVM_ARM_IRQ_TYPE_PPI 2 /* 3.9 arm64 */
#define KVM_ARM_IRQ_CPU_IRQ 0 /* 3.9 arm64 */
#define KVM_ARM_IRQ_CPU_FIQ 1 /* 3.9 arm64 */

#define KVM_IRQFD_FLAG_DEASSIGN 1 /* 4.1 */
#define KVM_IRQFD_FLAG_RESAMPLE 2 /* 4.1 */

/* Where a gsi leads: to a pin of the interrupt controller (SPI = pin + 32), or to an MSI. */
#define KVM_IRQ_ROUTING_IRQCHIP 1 /* 3.9 */
#define KVM_IRQ_ROUTING_MSI 2 /* 3.9 */

/* The MSI names its device: what an ITS needs. */
#define KVM_MSI_VALID_DEVID 1 /* 4.8 */

#define KVM_IOEVENTFD_FLAG_DATAMATCH 1 /* 4.1 */
#define KVM_IOEVENTFD_FLAG_PIO 2 /* 4.1 */
#define KVM_IOEVENTFD_FLAG_DEASSIGN 4 /* 4.1 */

#define KVM_CREATE_DEVICE_TEST 1 /* 3.14 */

/* The range of KVM_ARM_GET_REG_WRITABLE_MASKS: S3_{0,1,3}_C0_C{0-7}_{0-7}, a mask for each. */
#define KVM_ARM_FEATURE_ID_RANGE 0 /* 6.7 arm64 */
#define KVM_ARM_FEATURE_ID_RANGE_SIZE 192 /* 6.7 arm64 */
