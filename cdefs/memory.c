/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on the VM descriptor about memory, and on memory that is a file.
 */

/* The descriptor is close-on-exec as soon as we can make it so: the kernel has no flag for that. */
API int create_guest_memfd(int vm, uint64_t size, uint64_t flags, int *made)
{
	struct kvm_create_guest_memfd argument = { .size = size, .flags = flags };
	int result = request(vm, KVM_CREATE_GUEST_MEMFD, (uintptr_t)&argument);

	if (result >= 0)
		request(result, FIOCLEX, 0); /* fcntl() would ask for glibc 2.28 */
	return hand_over(result, made);
}

/* Shows the guest what is in a guest_memfd. KVM's own accesses to that memory go to `hva`. */
API int set_guest_memfd_region(int vm, uint32_t slot, uint64_t gpa, uint64_t size, uint64_t hva, int fd,
			       uint64_t offset)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = hva,
		.guest_memfd_offset = offset,
		.guest_memfd = (uint32_t)fd,
	};
	return request(vm, KVM_SET_USER_MEMORY_REGION2, (uintptr_t)&region);
}

/* Of fallocate(2): libc's header keeps them for who asks for GNU's extensions. */
#define KEEP_SIZE 1
#define PUNCH_HOLE 2

/* Takes memory for a range of a file, or gives it back: the range reads as zeros then. */
API int fill_range(int fd, int punch, uint64_t offset, uint64_t size)
{
	int mode = KEEP_SIZE | (punch ? PUNCH_HOLE : 0);

	return syscall(SYS_fallocate, fd, mode, (off_t)offset, (off_t)size) < 0 ? -errno : 0;
}

/* `bitmap` has a bit for each page of the slot, in whole 64-bit words: the kernel fills them all. */
API int get_dirty_log(int vm, uint32_t slot, uint8_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	return request(vm, KVM_GET_DIRTY_LOG, (uintptr_t)&log);
}

/* Bit 0 of `bitmap` is `first_page`. */
API int clear_dirty_log(int vm, uint32_t slot, uint64_t first_page, uint32_t num_pages, uint8_t *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot,
		.num_pages = num_pages,
		.first_page = first_page,
		.dirty_bitmap = bitmap,
	};
	return request(vm, KVM_CLEAR_DIRTY_LOG, (uintptr_t)&log);
}

/*
 * How many entries were reset. In newer kernels (6.18) a signal ends this early, kicks' tick among
 * them, and they say only how much was done: pages that are left out would miss the guest's next
 * stores. So signals wait.
 */
API int reset_dirty_rings(int vm)
{
	sigset_t all, before;
	int result;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before); /* of this thread: see unblock_once() */
	result = request(vm, KVM_RESET_DIRTY_RINGS, 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* One byte of `tags` for 16 bytes of memory. Returns the bytes of memory that were done. */
API int arm_mte_copy_tags(int vm, uint64_t gpa, uint64_t size, uint8_t *tags, uint64_t flags)
{
	struct kvm_arm_copy_mte_tags argument = {
		.guest_ipa = gpa,
		.length = size,
		.addr = tags,
		.flags = flags,
	};
	ARM64_ONLY;
	return request(vm, KVM_ARM_MTE_COPY_TAGS, (uintptr_t)&argument);
}
