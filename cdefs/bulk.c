/* SPDX-License-Identifier: Apache-2.0
 *
 * Many registers in one call from Python: each is one ioctl all the same, but the way from Python to
 * the kernel costs more than the ioctl, and is paid once.
 */
struct pykvm_registers {
	struct kvm_one_reg *each; /* ids, and where each one's value is */
	uint32_t count;
	uint32_t done; /* where a call that a signal interrupted goes on, or one that failed stood */
};

API void registers_open(struct pykvm_registers *set, struct kvm_one_reg *each, uint32_t count)
{
	set->each = each;
	set->count = count;
	set->done = 0;
}

static int each_register(int vcpu, unsigned int number, struct pykvm_registers *set)
{
	int result;

	for (; set->done < set->count; set->done++) {
		result = request(vcpu, number, (uintptr_t)&set->each[set->done]);
		if (result < 0)
			return result;
	}
	set->done = 0;
	return 0;
}

API int get_registers(int vcpu, struct pykvm_registers *set)
{
	return each_register(vcpu, KVM_GET_ONE_REG, set);
}

API int set_registers(int vcpu, struct pykvm_registers *set)
{
	return each_register(vcpu, KVM_SET_ONE_REG, set);
}

/* The place of the register that was refused. */
API uint32_t registers_done(struct pykvm_registers *set)
{
	return set->done;
}
