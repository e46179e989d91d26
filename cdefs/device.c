/* SPDX-License-Identifier: Apache-2.0
 *
 * Device attributes. The same three calls serve device, VM and vCPU descriptors. `data` must hold
 * what the attribute moves; only the kernel knows how much that is, so the callers in pykvm do.
 */
static int device_attr(int fd, unsigned int number, uint32_t group, uint64_t attr, void *data)
{
	struct kvm_device_attr argument = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)data,
	};
	return request(fd, number, (uintptr_t)&argument);
}

API int set_device_attr(int fd, uint32_t group, uint64_t attr, void *data)
{
	return device_attr(fd, KVM_SET_DEVICE_ATTR, group, attr, data);
}

API int get_device_attr(int fd, uint32_t group, uint64_t attr, void *data)
{
	return device_attr(fd, KVM_GET_DEVICE_ATTR, group, attr, data);
}

/*
 * An attribute as a number: its first 8 bytes. All ones also stands for every failure, which
 * get_device_attr() tells apart; an out pointer would cost Python more than the ioctl.
 */
API uint64_t get_attr_number(int fd, uint32_t group, uint64_t attr)
{
	uint64_t value[PYKVM_LARGEST_ATTRIBUTE / 8] = { 0 };

	return get_device_attr(fd, group, attr, value) < 0 ? UINT64_MAX : value[0];
}

API int has_device_attr(int fd, uint32_t group, uint64_t attr)
{
	return device_attr(fd, KVM_HAS_DEVICE_ATTR, group, attr, NULL);
}

/* Attributes of VMs and vCPUs whose numbers mean something else elsewhere. */
API int set_arm64_attr(int fd, uint32_t group, uint64_t attr, void *data)
{
	ARM64_ONLY;
	return set_device_attr(fd, group, attr, data);
}

API int get_arm64_attr(int fd, uint32_t group, uint64_t attr, void *data)
{
	ARM64_ONLY;
	return get_device_attr(fd, group, attr, data);
}

API int has_arm64_attr(int fd, uint32_t group, uint64_t attr)
{
	ARM64_ONLY;
	return has_device_attr(fd, group, attr);
}
