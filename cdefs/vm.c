/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on the VM descriptor.
 */
API int create_vcpu(int vm, unsigned long vcpu_id, int *made)
{
	return hand_over(request(vm, KVM_CREATE_VCPU, vcpu_id), made);
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

API int create_device(int vm, uint32_t type, int *made)
{
	struct kvm_create_device device = { .type = type };
	int result = request(vm, KVM_CREATE_DEVICE, (uintptr_t)&device);

	return hand_over(result < 0 ? result : (int)device.fd, made);
}

/* Whether create_device() could make one. Makes none. */
API int test_device(int vm, uint32_t type)
{
	struct kvm_create_device device = { .type = type, .flags = KVM_CREATE_DEVICE_TEST };

	return request(vm, KVM_CREATE_DEVICE, (uintptr_t)&device);
}

API int arm_preferred_target(int vm, struct kvm_vcpu_init *init)
{
	ARM64_ONLY;
	return request(vm, KVM_ARM_PREFERRED_TARGET, (uintptr_t)init);
}

API int create_irqchip(int vm)
{
	return request(vm, KVM_CREATE_IRQCHIP, 0);
}

API int arm_set_device_addr(int vm, uint64_t id, uint64_t addr)
{
	struct kvm_arm_device_addr argument = { .id = id, .addr = addr };

	ARM64_ONLY;
	return request(vm, KVM_ARM_SET_DEVICE_ADDR, (uintptr_t)&argument);
}

/* `masks` has room for KVM_ARM_FEATURE_ID_RANGE_SIZE of them. */
API int arm_get_reg_writable_masks(int vm, uint64_t *masks)
{
	struct reg_mask_range argument = {
		.addr = (uintptr_t)masks,
		.range = KVM_ARM_FEATURE_ID_RANGE,
	};

	ARM64_ONLY;
	return request(vm, KVM_ARM_GET_REG_WRITABLE_MASKS, (uintptr_t)&argument);
}

/* `line` is type, vCPU and INTID in arm64's packing. */
API int irq_line(int vm, uint32_t line, uint32_t level)
{
	struct kvm_irq_level argument = { .irq = line, .level = level };

	ARM64_ONLY;
	return request(vm, KVM_IRQ_LINE, (uintptr_t)&argument);
}

/* arm64 copies the argument back as it was: there is no status to return. */
API int irq_line_status(int vm, uint32_t line, uint32_t level)
{
	struct kvm_irq_level argument = { .irq = line, .level = level };

	ARM64_ONLY;
	return request(vm, KVM_IRQ_LINE_STATUS, (uintptr_t)&argument);
}

/* The line of an SPI, its numbers checked here: in Python the checks cost as much as the ioctl. */
API int spi_line(int vm, uint32_t intid, uint32_t level)
{
	if (intid < 32 || intid > 1019 || level > 1)
		return -EINVAL;
	return irq_line(vm, KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | intid, level);
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

/* `table` holds `nr` entries; the kernel takes a copy. */
API int set_gsi_routing(int vm, struct kvm_irq_routing *table)
{
	return request(vm, KVM_SET_GSI_ROUTING, (uintptr_t)table);
}

/* 1: delivered, 0: the guest has not mapped this event. */
API int signal_msi(int vm, uint64_t address, uint32_t data, uint32_t devid, uint32_t flags)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
		.flags = flags,
		.devid = devid,
	};
	return request(vm, KVM_SIGNAL_MSI, (uintptr_t)&msi);
}

API int enable_cap(int vm, uint32_t cap, uint32_t flags, uint64_t first, uint64_t second,
		   uint64_t third, uint64_t fourth)
{
	struct kvm_enable_cap argument = {
		.cap = cap,
		.flags = flags,
		.args = { first, second, third, fourth },
	};
	return request(vm, KVM_ENABLE_CAP, (uintptr_t)&argument);
}

API int arm_set_counter_offset(int vm, uint64_t offset)
{
	struct kvm_arm_counter_offset argument = { .counter_offset = offset };

	ARM64_ONLY;
	return request(vm, KVM_ARM_SET_COUNTER_OFFSET, (uintptr_t)&argument);
}
