/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on the vCPU descriptor: state besides registers, debugging, the signal mask.
 */
API int get_mp_state(int vcpu)
{
	struct kvm_mp_state state = { 0 };
	int result = request(vcpu, KVM_GET_MP_STATE, (uintptr_t)&state);

	return result < 0 ? result : (int)state.mp_state;
}

API int set_mp_state(int vcpu, uint32_t mp_state)
{
	struct kvm_mp_state state = { .mp_state = mp_state };

	return request(vcpu, KVM_SET_MP_STATE, (uintptr_t)&state);
}

API int get_vcpu_events(int vcpu, struct kvm_vcpu_events *events)
{
	ARM64_ONLY;
	return request(vcpu, KVM_GET_VCPU_EVENTS, (uintptr_t)events);
}

API int set_vcpu_events(int vcpu, const struct kvm_vcpu_events *events)
{
	ARM64_ONLY;
	return request(vcpu, KVM_SET_VCPU_EVENTS, (uintptr_t)events);
}

API int set_guest_debug(int vcpu, const struct kvm_guest_debug *debug)
{
	ARM64_ONLY;
	return request(vcpu, KVM_SET_GUEST_DEBUG, (uintptr_t)debug);
}

/* Bit n - 1 of `blocked` stands for signal n. */
API int set_signal_mask(int vcpu, uint64_t blocked)
{
	struct {
		uint32_t len;
		uint8_t sigset[sizeof(blocked)];
	} argument = { .len = sizeof(blocked) };

	memcpy(argument.sigset, &blocked, sizeof(blocked)); /* arm64 and x86_64: little-endian */
	return request(vcpu, KVM_SET_SIGNAL_MASK, (uintptr_t)&argument);
}

API int clear_signal_mask(int vcpu)
{
	return request(vcpu, KVM_SET_SIGNAL_MASK, 0);
}
