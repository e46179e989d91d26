/* SPDX-License-Identifier: Apache-2.0
 *
 * Rings that a vCPU's mapping shows: pages that it dirtied, and stores of the guest that wait for us.
 */
struct kvm_dirty_gfn { /* 5.11 */
	uint32_t flags;
	uint32_t slot;
	uint64_t offset;
};

/* The kernel fills an entry and says DIRTY; whoever takes it says RESET, and KVM_RESET_DIRTY_RINGS 0. */
#define KVM_DIRTY_GFN_F_DIRTY 1 /* 5.11 */
#define KVM_DIRTY_GFN_F_RESET 2 /* 5.11 */

struct kvm_coalesced_mmio_zone { /* 3.9 */
	uint64_t addr;
	uint32_t size;
	union {
		uint32_t pad;
		uint32_t pio;
	};
};

struct kvm_coalesced_mmio { /* 3.9 */
	uint64_t phys_addr;
	uint32_t len;
	union {
		uint32_t pad;
		uint32_t pio;
	};
	uint8_t data[8];
};

/* The kernel fills the entry at `last`, the program takes the one at `first`; one stays free. */
struct kvm_coalesced_mmio_ring { /* 3.9 */
	uint32_t first;
	uint32_t last;
	struct kvm_coalesced_mmio coalesced_mmio[];
};

#define KVM_REGISTER_COALESCED_MMIO KVM_WRITES(0x67, struct kvm_coalesced_mmio_zone) /* 3.9 */
#define KVM_UNREGISTER_COALESCED_MMIO KVM_WRITES(0x68, struct kvm_coalesced_mmio_zone) /* 3.9 */
