/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of vCPUs and VMs: groups, numbers, and what they carry. The calls are the devices'.
 */
struct kvm_pmu_event_filter { /* 5.10 arm64 */
	uint16_t base_event;
	uint16_t nevents;
	uint8_t action;
	uint8_t pad[3];
};

struct kvm_smccc_filter { /* 6.4 arm64 */
	uint32_t base;
	uint32_t nr_functions;
	uint8_t action;
	uint8_t pad[15];
};

/* A vCPU's. */
#define KVM_ARM_VCPU_PMU_V3_CTRL 0 /* 4.6 arm64 */
#define KVM_ARM_VCPU_PMU_V3_IRQ 0 /* 4.6 arm64 */
#define KVM_ARM_VCPU_PMU_V3_INIT 1 /* 4.6 arm64 */
#define KVM_ARM_VCPU_PMU_V3_FILTER 2 /* 5.10 arm64 */
#define KVM_ARM_VCPU_PMU_V3_SET_PMU 3 /* 5.18 arm64 */
#define KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS 4 /* 6.16 arm64 */
#define KVM_ARM_VCPU_TIMER_CTRL 1 /* 4.13 arm64 */
#define KVM_ARM_VCPU_TIMER_IRQ_VTIMER 0 /* 4.13 arm64 */
#define KVM_ARM_VCPU_TIMER_IRQ_PTIMER 1 /* 4.13 arm64 */
#define KVM_ARM_VCPU_TIMER_IRQ_HVTIMER 2 /* 6.4 arm64 */
#define KVM_ARM_VCPU_TIMER_IRQ_HPTIMER 3 /* 6.4 arm64 */
#define KVM_ARM_VCPU_PVTIME_CTRL 2 /* 5.5 arm64 */
#define KVM_ARM_VCPU_PVTIME_IPA 0 /* 5.5 arm64 */

#define KVM_PMU_EVENT_ALLOW 0 /* 5.10 arm64 */
#define KVM_PMU_EVENT_DENY 1 /* 5.10 arm64 */

/* A VM's. */
#define KVM_ARM_VM_SMCCC_CTRL 0 /* 6.4 arm64 */
#define KVM_ARM_VM_SMCCC_FILTER 0 /* 6.4 arm64 */

#define KVM_SMCCC_FILTER_HANDLE 0 /* 6.4 arm64 */
#define KVM_SMCCC_FILTER_DENY 1 /* 6.4 arm64 */
#define KVM_SMCCC_FILTER_FWD_TO_USER 2 /* 6.4 arm64 */
