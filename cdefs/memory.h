/* SPDX-License-Identifier: Apache-2.0
 *
 * The VM descriptor: memory beyond plain slots. What was written, memory that is a file of its own, tags.
 */
struct kvm_userspace_memory_region2 { /* 6.8 */
	uint32_t slot;
	uint32_t flags;
	uint64_t guest_phys_addr;
	uint64_t memory_size;
	uint64_t userspace_addr;
	uint64_t guest_memfd_offset;
	uint32_t guest_memfd;
	uint32_t pad1;
	uint64_t pad2[14];
};

struct kvm_create_guest_memfd { /* 6.8 */
	uint64_t size;
	uint64_t flags;
	uint64_t reserved[6];
};

struct kvm_dirty_log { /* 3.9 */
	uint32_t slot;
	uint32_t padding1;
	union {
		void *dirty_bitmap;
		uint64_t padding2;
	};
};

struct kvm_clear_dirty_log { /* 5.0 */
	uint32_t slot;
	uint32_t num_pages;
	uint64_t first_page;
	union {
		void *dirty_bitmap;
		uint64_t padding2;
	};
};

struct kvm_arm_copy_mte_tags { /* 5.14 arm64 */
	uint64_t guest_ipa;
	uint64_t length;
	void *addr;
	uint64_t flags;
	uint64_t reserved[2];
};

#define KVM_SET_USER_MEMORY_REGION2 KVM_WRITES(0x49, struct kvm_userspace_memory_region2) /* 6.8 */
#define KVM_CREATE_GUEST_MEMFD KVM_EXCHANGES(0xd4, struct kvm_create_guest_memfd) /* 6.8 */
#define KVM_GET_DIRTY_LOG KVM_WRITES(0x42, struct kvm_dirty_log) /* 3.9 */
#define KVM_CLEAR_DIRTY_LOG KVM_EXCHANGES(0xc0, struct kvm_clear_dirty_log) /* 5.0 */
#define KVM_RESET_DIRTY_RINGS KVM_NONE(0xc7) /* 5.11 */
#define KVM_ARM_MTE_COPY_TAGS KVM_READS(0xb4, struct kvm_arm_copy_mte_tags) /* 5.14 arm64 */

/* A flag of a memory slot, beside those in vm.h. */
#define KVM_MEM_GUEST_MEMFD 4 /* 6.8 */

#define GUEST_MEMFD_FLAG_MMAP 1 /* 6.18 */
#define GUEST_MEMFD_FLAG_INIT_SHARED 2 /* 6.18 */

/* Tags go to the guest, or (with the flag) come from it. */
#define KVM_ARM_TAGS_TO_GUEST 0 /* 5.14 arm64 */
#define KVM_ARM_TAGS_FROM_GUEST 1 /* 5.14 arm64 */
