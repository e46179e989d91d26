/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints each capability's number with the answer of /dev/kvm and of a VM, negative for an errno.
 * The headers are the kernel's; a VM is made as pykvm's probe makes one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

static int ask(int fd, unsigned long number)
{
	int answer = ioctl(fd, KVM_CHECK_EXTENSION, number);

	return answer < 0 ? -errno : answer;
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int bits = ask(kvm, KVM_CAP_ARM_VM_IPA_SIZE);
	int vm = ioctl(kvm, KVM_CREATE_VM, (unsigned long)(bits > 0 && bits < 40 ? bits : 0));

	if (kvm < 0 || vm < 0) {
		perror("/dev/kvm");
		return 1;
	}
	for (unsigned long number = 0; number <= LAST; number++)
		printf("%lu %d %d\n", number, ask(kvm, number), ask(vm, number));
	return 0;
}
