/* SPDX-License-Identifier: Apache-2.0
 *
 * The file behind KVM_GET_STATS_FD, of a VM or a vCPU: this header, and at the offsets that it names
 * an id, descriptors and values of 64 bits.
 */
struct kvm_stats_header { /* 5.14 */
	uint32_t flags;
	uint32_t name_size;
	uint32_t num_desc;
	uint32_t id_offset;
	uint32_t desc_offset;
	uint32_t data_offset;
};

/* Followed by a name of the header's name_size. */
struct kvm_stats_desc { /* 5.14 */
	uint32_t flags;
	int16_t exponent;
	uint16_t size;
	uint32_t offset;
	uint32_t bucket_size; /* 5.15 */
	char name[];
};

#define KVM_GET_STATS_FD KVM_NONE(0xce) /* 5.14 */

/* How a descriptor's flags are packed. */
#define KVM_STATS_TYPE_SHIFT 0 /* 5.14 */
#define KVM_STATS_TYPE_MASK 0xf /* 5.14 */
#define KVM_STATS_TYPE_CUMULATIVE 0x0 /* 5.14 */
#define KVM_STATS_TYPE_INSTANT 0x1 /* 5.14 */
#define KVM_STATS_TYPE_PEAK 0x2 /* 5.14 */
#define KVM_STATS_TYPE_LINEAR_HIST 0x3 /* 5.15 */
#define KVM_STATS_TYPE_LOG_HIST 0x4 /* 5.15 */
#define KVM_STATS_UNIT_SHIFT 4 /* 5.14 */
#define KVM_STATS_UNIT_MASK 0xf0 /* 5.14 */
#define KVM_STATS_UNIT_NONE 0x00 /* 5.14 */
#define KVM_STATS_UNIT_BYTES 0x10 /* 5.14 */
#define KVM_STATS_UNIT_SECONDS 0x20 /* 5.14 */
#define KVM_STATS_UNIT_CYCLES 0x30 /* 5.14 */
#define KVM_STATS_UNIT_BOOLEAN 0x40 /* 5.19 */
#define KVM_STATS_BASE_SHIFT 8 /* 5.14 */
#define KVM_STATS_BASE_MASK 0xf00 /* 5.14 */
#define KVM_STATS_BASE_POW10 0x000 /* 5.14 */
#define KVM_STATS_BASE_POW2 0x100 /* 5.14 */
