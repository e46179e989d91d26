/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on /dev/kvm. Every wrapper returns -errno, so that no caller can lose it.
 */
API int get_api_version(int kvm)
{
	return request(kvm, KVM_GET_API_VERSION, 0);
}

/* On arm64 the type is a width of addresses; elsewhere it selects another kind of VM. */
API int create_vm(int kvm, unsigned long type, int *made)
{
	if (type)
		ARM64_ONLY;
	return hand_over(request(kvm, KVM_CREATE_VM, type), made);
}

/* Serves the VM descriptor too: same request, an answer for this VM. */
API int check_extension(int kvm_or_vm, unsigned int cap)
{
	return request(kvm_or_vm, KVM_CHECK_EXTENSION, cap);
}

API int get_vcpu_mmap_size(int kvm)
{
	return request(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

/* The way to what has no wrapper. `argument` is a number or the address of a buffer. */
API int any_ioctl(int fd, unsigned int number, uintptr_t argument)
{
	return request(fd, number, argument);
}
