/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on the vCPU descriptor, but for KVM_RUN, which has a room of its own: run.c.
 */
API int arm_vcpu_init(int vcpu, struct kvm_vcpu_init *init)
{
	ARM64_ONLY;
	return request(vcpu, KVM_ARM_VCPU_INIT, (uintptr_t)init);
}

API int arm_vcpu_finalize(int vcpu, int feature)
{
	ARM64_ONLY;
	return request(vcpu, KVM_ARM_VCPU_FINALIZE, (uintptr_t)&feature);
}

static unsigned int register_size(uint64_t id)
{
	return 1u << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

/*
 * A register of up to 8 bytes as a value: an out pointer would cost Python more than the ioctl. All
 * ones also stands for every failure, and for wider registers: get_wide_reg() tells them apart.
 */
API uint64_t get_one_reg(int vcpu, uint64_t id)
{
	uint64_t value = 0;
	struct kvm_one_reg argument = { .id = id, .addr = (uintptr_t)&value };

	if (register_size(id) > sizeof(value))
		return UINT64_MAX;
	return request(vcpu, KVM_GET_ONE_REG, (uintptr_t)&argument) < 0 ? UINT64_MAX : value;
}

/* -EMSGSIZE for a register wider than 8 bytes, and for a value wider than the register. */
API int set_one_reg(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg argument = { .id = id, .addr = (uintptr_t)&value };
	unsigned int size = register_size(id);

	if (size > sizeof(value) || (size < sizeof(value) && value >> 8 * size))
		return -EMSGSIZE;
	return request(vcpu, KVM_SET_ONE_REG, (uintptr_t)&argument);
}

/* Registers of any size, through a buffer that the caller sized from the id. */
API int get_wide_reg(int vcpu, uint64_t id, void *data)
{
	struct kvm_one_reg argument = { .id = id, .addr = (uintptr_t)data };

	return request(vcpu, KVM_GET_ONE_REG, (uintptr_t)&argument);
}

API int set_wide_reg(int vcpu, uint64_t id, const void *data)
{
	struct kvm_one_reg argument = { .id = id, .addr = (uintptr_t)data };

	return request(vcpu, KVM_SET_ONE_REG, (uintptr_t)&argument);
}

/* list[0] is the room in registers, and becomes the number there are; their ids follow. */
API int get_reg_list(int vcpu, uint64_t *list)
{
	return request(vcpu, KVM_GET_REG_LIST, (uintptr_t)list);
}
