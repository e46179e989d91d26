/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices inside KVM, and the attributes by which they are set up.
 */
struct kvm_device_attr { /* 3.10 */
	uint32_t flags;
	uint32_t group;
	uint64_t attr;
	uint64_t addr;
};

#define KVM_SET_DEVICE_ATTR KVM_WRITES(0xe1, struct kvm_device_attr) /* 3.10 */
#define KVM_GET_DEVICE_ATTR KVM_WRITES(0xe2, struct kvm_device_attr) /* 3.10 */
#define KVM_HAS_DEVICE_ATTR KVM_WRITES(0xe3, struct kvm_device_attr) /* 3.10 */

/* What KVM_CREATE_DEVICE can make. */
#define KVM_DEV_TYPE_VFIO 4 /* 3.14 */
#define KVM_DEV_TYPE_ARM_VGIC_V2 5 /* 3.14 */
#define KVM_DEV_TYPE_ARM_VGIC_V3 7 /* 4.0 */
#define KVM_DEV_TYPE_ARM_VGIC_ITS 8 /* 4.8 */
#define KVM_DEV_TYPE_ARM_PV_TIME 10 /* 5.5 */
#define KVM_DEV_TYPE_ARM_VGIC_V5 16 /* 7.1 */

/* VFIO's device. Until 6.5 the kernel said GROUP for FILE, with the same numbers. */
#define KVM_DEV_VFIO_FILE 1 /* 6.6 */
#define KVM_DEV_VFIO_FILE_ADD 1 /* 6.6 */
#define KVM_DEV_VFIO_FILE_DEL 2 /* 6.6 */

/* Attribute groups of the GICs. */
#define KVM_DEV_ARM_VGIC_GRP_ADDR 0 /* 3.14 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_DIST_REGS 1 /* 3.14 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_CPU_REGS 2 /* 3.14 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_NR_IRQS 3 /* 3.18 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_CTRL 4 /* 4.0 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_REDIST_REGS 5 /* 4.11 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS 6 /* 4.11 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO 7 /* 4.11 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_ITS_REGS 8 /* 4.13 arm64 */
#define KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ 9 /* 6.15 arm64 */

/* Attributes of KVM_DEV_ARM_VGIC_GRP_CTRL. */
#define KVM_DEV_ARM_VGIC_CTRL_INIT 0 /* 4.0 arm64 */
#define KVM_DEV_ARM_ITS_SAVE_TABLES 1 /* 4.13 arm64 */
#define KVM_DEV_ARM_ITS_RESTORE_TABLES 2 /* 4.13 arm64 */
#define KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES 3 /* 4.13 arm64 */
#define KVM_DEV_ARM_ITS_CTRL_RESET 4 /* 4.15 arm64 */

/* How a CPU is named in the upper half of an attribute, and what LEVEL_INFO tells. */
#define KVM_DEV_ARM_VGIC_CPUID_SHIFT 32 /* 3.14 arm64 */
#define KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT 32 /* 4.11 arm64 */
#define KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK 0xffff /* 4.11 arm64 */
#define KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT 10 /* 4.11 arm64 */
#define VGIC_LEVEL_INFO_LINE_LEVEL 0 /* 4.11 arm64 */
#define KVM_DEV_ARM_VGIC_USERSPACE_PPIS 5 /* 7.1 arm64 */

/* Attributes of KVM_DEV_ARM_VGIC_GRP_ADDR. */
#define KVM_VGIC_V2_ADDR_TYPE_DIST 0 /* 3.9 arm64 */
#define KVM_VGIC_V2_ADDR_TYPE_CPU 1 /* 3.9 arm64 */
#define KVM_VGIC_V3_ADDR_TYPE_DIST 2 /* 4.0 arm64 */
#define KVM_VGIC_V3_ADDR_TYPE_REDIST 3 /* 4.0 arm64 */
#define KVM_VGIC_ITS_ADDR_TYPE 4 /* 4.8 arm64 */
#define KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION 5 /* 4.18 arm64 */

/* How much of the guest's address space each frame takes, in bytes. */
#define KVM_VGIC_V2_DIST_SIZE 0x1000 /* 3.9 arm64 */
#define KVM_VGIC_V2_CPU_SIZE 0x2000 /* 3.9 arm64 */
#define KVM_VGIC_V3_DIST_SIZE 0x10000 /* 4.0 arm64 */
#define KVM_VGIC_V3_REDIST_SIZE 0x20000 /* 4.0 arm64 */
#define KVM_VGIC_V3_ITS_SIZE 0x20000 /* 4.8 arm64 */

#define PYKVM_LARGEST_ATTRIBUTE 64 /* own: no attribute moves more bytes */
