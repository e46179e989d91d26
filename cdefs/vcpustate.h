/* SPDX-License-Identifier: Apache-2.0
 *
 * The vCPU descriptor: what state a vCPU is in besides its registers, and how it is debugged.
 */
struct kvm_mp_state { /* 3.9 */
	uint32_t mp_state;
};

struct kvm_vcpu_events { /* 4.19 arm64 */
	struct {
		uint8_t serror_pending;
		uint8_t serror_has_esr;
		uint8_t ext_dabt_pending; /* 5.5 arm64 */
		uint8_t pad[5];
		uint64_t serror_esr;
	} exception;
	uint32_t reserved[12];
};

struct kvm_guest_debug_arch { /* 4.2 arm64 */
	uint64_t dbg_bcr[16];
	uint64_t dbg_bvr[16];
	uint64_t dbg_wcr[16];
	uint64_t dbg_wvr[16];
};

struct kvm_guest_debug { /* 4.2 arm64 */
	uint32_t control;
	uint32_t pad;
	struct kvm_guest_debug_arch arch;
};

struct kvm_signal_mask { /* 3.9 */
	uint32_t len;
	uint8_t sigset[];
};

#define KVM_SET_SIGNAL_MASK KVM_WRITES(0x8b, struct kvm_signal_mask) /* 3.9 */
#define KVM_GET_MP_STATE KVM_READS(0x98, struct kvm_mp_state) /* 4.1 */
#define KVM_SET_MP_STATE KVM_WRITES(0x99, struct kvm_mp_state) /* 4.1 */
#define KVM_SET_GUEST_DEBUG KVM_WRITES(0x9b, struct kvm_guest_debug) /* 4.2 arm64 */
#define KVM_GET_VCPU_EVENTS KVM_READS(0x9f, struct kvm_vcpu_events) /* 4.19 arm64 */
#define KVM_SET_VCPU_EVENTS KVM_WRITES(0xa0, struct kvm_vcpu_events) /* 4.19 arm64 */

#define KVM_MP_STATE_RUNNABLE 0 /* 4.1 */
#define KVM_MP_STATE_STOPPED 5 /* 4.1 */
#define KVM_MP_STATE_SUSPENDED 10 /* 5.19 */

/* Bits of kvm_guest_debug.control. */
#define KVM_GUESTDBG_ENABLE 1 /* 3.9 */
#define KVM_GUESTDBG_SINGLESTEP 2 /* 3.9 */
#define KVM_GUESTDBG_USE_SW_BP 0x10000 /* 4.2 arm64 */
#define KVM_GUESTDBG_USE_HW 0x20000 /* 4.2 arm64 */
#define KVM_ARM_MAX_DBG_REGS 16 /* 4.2 arm64 */
