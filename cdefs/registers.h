/* SPDX-License-Identifier: Apache-2.0
 *
 * How KVM_GET_ONE_REG and KVM_SET_ONE_REG number registers: architecture, size, family, index.
 */
struct user_pt_regs { /* 3.9 arm64 */
	uint64_t regs[31];
	uint64_t sp;
	uint64_t pc;
	uint64_t pstate;
};

/* The kernel's vregs are 128-bit integers: their alignment puts fp_regs 8 bytes further. */
struct user_fpsimd_state { /* 3.9 arm64 */
	uint8_t vregs[512] __attribute__((aligned(16)));
	uint32_t fpsr;
	uint32_t fpcr;
	uint32_t __reserved[2];
};

/* Index of a core register = its offset here, in units of 4 bytes. */
struct kvm_regs { /* 3.9 arm64 */
	struct user_pt_regs regs;
	uint64_t sp_el1;
	uint64_t elr_el1;
	uint64_t spsr[5];
	struct user_fpsimd_state fp_regs;
};

#define KVM_REG_ARM64 0x6000000000000000 /* 3.9 */
#define KVM_REG_SIZE_SHIFT 52 /* 3.9 */
#define KVM_REG_SIZE_MASK 0x00f0000000000000 /* 3.9 */
#define KVM_REG_SIZE_U32 0x0020000000000000 /* 3.9 */
#define KVM_REG_SIZE_U64 0x0030000000000000 /* 3.9 */
#define KVM_REG_SIZE_U128 0x0040000000000000 /* 3.9 */
#define KVM_REG_SIZE_U256 0x0050000000000000 /* 3.9 */
#define KVM_REG_SIZE_U2048 0x0080000000000000 /* 5.2 */

/* Families. */
#define KVM_REG_ARM_COPROC_MASK 0x0fff0000 /* 3.9 arm64 */
#define KVM_REG_ARM_COPROC_SHIFT 16 /* 3.9 arm64 */
#define KVM_REG_ARM_CORE 0x00100000 /* 3.9 arm64 */
#define KVM_REG_ARM_DEMUX 0x00110000 /* 3.9 arm64 */
#define KVM_REG_ARM64_SYSREG 0x00130000 /* 3.9 arm64 */
#define KVM_REG_ARM_FW 0x00140000 /* 4.18 arm64 */
#define KVM_REG_ARM64_SVE 0x00150000 /* 5.2 arm64 */
#define KVM_REG_ARM_FW_FEAT_BMAP 0x00160000 /* 5.19 arm64 */

/* Fields of a system register's index: the operands of its MRS encoding. */
#define KVM_REG_ARM64_SYSREG_OP0_SHIFT 14 /* 3.9 arm64 */
#define KVM_REG_ARM64_SYSREG_OP1_SHIFT 11 /* 3.9 arm64 */
#define KVM_REG_ARM64_SYSREG_CRN_SHIFT 7 /* 3.9 arm64 */
#define KVM_REG_ARM64_SYSREG_CRM_SHIFT 3 /* 3.9 arm64 */
#define KVM_REG_ARM64_SYSREG_OP2_SHIFT 0 /* 3.9 arm64 */

/* The kernel swapped these two of the virtual timer for ever. */
#define KVM_REG_ARM_TIMER_CVAL 0x603000000013df02 /* 3.9 arm64 */
#define KVM_REG_ARM_TIMER_CNT 0x603000000013df1a /* 3.9 arm64 */

/* The first of each kind of SVE register; the next one of a kind has an index 32 higher. */
#define KVM_REG_ARM64_SVE_ZREG_BASE 0 /* 5.2 arm64 */
#define KVM_REG_ARM64_SVE_PREG_BASE 0x400 /* 5.2 arm64 */
#define KVM_REG_ARM64_SVE_FFR_BASE 0x600 /* 5.2 arm64 */
#define KVM_REG_ARM64_SVE_VLS 0x606000000015ffff /* 5.2 arm64 */

/* The first of the firmware's registers, and of the bitmaps of hypercalls. */
#define KVM_REG_ARM_PSCI_VERSION 0x6030000000140000 /* 4.18 arm64 */
#define KVM_REG_ARM_STD_BMAP 0x6030000000160000 /* 5.19 arm64 */
