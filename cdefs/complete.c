/* SPDX-License-Identifier: Apache-2.0
 *
 * An access of the guest is finished without entering the guest: for whoever saves its state.
 */
/* Whether what it owes asks for the value of a load. */
static int asks_for_load(struct pykvm_vcpu *vcpu)
{
	return vcpu->owed <= PYKVM_LOADS || vcpu->owed == NOBODYS ||
	       (vcpu->owed == PYKVM_AGAIN && vcpu->load);
}

/*
 * Lets KVM finish the access of the last exit, which it does on the way into the guest, and enters
 * no guest. What more comes out of that is for the next run, as is what nobody was told before; a
 * load need not be asked for again. A kick stays.
 */
API int vcpu_complete_mmio(struct pykvm_vcpu *vcpu)
{
	struct pykvm_thread *self = this_thread();
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	result = refusal(vcpu, self);
	if (result || vcpu->run->exit_reason != KVM_EXIT_MMIO) {
		pthread_mutex_unlock(&vcpu->lock);
		return result;
	}
	vcpu->held = self->tid;
	if (asks_for_load(vcpu))
		vcpu->owed = PYKVM_NOTHING;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vcpu->lock);

	result = enter_guest(vcpu, self);

	pthread_mutex_lock(&vcpu->lock); /* `run` is still there, as the vCPU is held */
	vcpu->held = 0;
	if (!vcpu->kicked)
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	if (result == PYKVM_EXITS - PYKVM_INTERRUPTED)
		kick_locked(vcpu);
	else if (is_of_guest(result) && vcpu->owed == PYKVM_NOTHING)
		vcpu->owed = result;
	pthread_mutex_unlock(&vcpu->lock);
	return is_of_guest(result) || result == -EINTR ? 0 : result;
}
