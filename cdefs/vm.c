/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on the VM descriptor.
 */
API int create_vcpu(int vm, unsigned long vcpu_id)
{
	return request(vm, KVM_CREATE_VCPU, vcpu_id);
}

API int set_user_memory_region(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size,
			       uint64_t hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = hva,
	};
	return request(vm, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&region);
}

/* The device's descriptor; with KVM_CREATE_DEVICE_TEST, which makes none, 0. */
API int create_device(int vm, uint32_t type, uint32_t flags)
{
	struct kvm_create_device device = { .type = type, .flags = flags };
	int result = request(vm, KVM_CREATE_DEVICE, (uintptr_t)&device);

	if (result < 0 || (flags & KVM_CREATE_DEVICE_TEST))
		return result;
	return (int)device.fd;
}

API int arm_preferred_target(int vm, struct kvm_vcpu_init *init)
{
	ARM64_ONLY;
	return request(vm, KVM_ARM_PREFERRED_TARGET, (uintptr_t)init);
}

/* `line` is type, vCPU and INTID in arm64's packing. */
API int irq_line(int vm, uint32_t line, uint32_t level)
{
	struct kvm_irq_level argument = { .irq = line, .level = level };

	ARM64_ONLY;
	return request(vm, KVM_IRQ_LINE, (uintptr_t)&argument);
}

API int irqfd(int vm, int fd, uint32_t gsi, uint32_t flags, int resamplefd)
{
	struct kvm_irqfd argument = {
		.fd = (uint32_t)fd,
		.gsi = gsi,
		.flags = flags,
		.resamplefd = (uint32_t)resamplefd,
	};
	return request(vm, KVM_IRQFD, (uintptr_t)&argument);
}

API int ioeventfd(int vm, int fd, uint64_t gpa, uint32_t size, uint64_t datamatch, uint32_t flags)
{
	struct kvm_ioeventfd argument = {
		.datamatch = datamatch,
		.addr = gpa,
		.len = size,
		.fd = fd,
		.flags = flags,
	};
	return request(vm, KVM_IOEVENTFD, (uintptr_t)&argument);
}
