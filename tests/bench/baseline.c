/* SPDX-License-Identifier: Apache-2.0
 *
 * The yardstick: each call as a C program would make it, errors checked, n times over. Every function
 * returns the nanoseconds that its loop took, by the clock that Python's perf_counter_ns() reads, or
 * -errno of the first call that failed.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* `call` may set up its argument first: a C program does that each time, too. */
#define LOOP(call)                              \
	do {                                    \
		int64_t started = now();        \
		for (long i = 0; i < n; i++)    \
			if ((call) < 0)         \
				return -errno;  \
		return now() - started;         \
	} while (0)

int64_t check_extension(long n, int kvm, unsigned long cap)
{
	LOOP(ioctl(kvm, KVM_CHECK_EXTENSION, cap));
}

int64_t irq_line(long n, int vm, uint32_t line, uint32_t level)
{
	struct kvm_irq_level argument;

	LOOP((argument.irq = line, argument.level = level, ioctl(vm, KVM_IRQ_LINE, &argument)));
}

int64_t get_one_reg(long n, int vcpu, uint64_t id)
{
	uint64_t value;
	struct kvm_one_reg argument;

	LOOP((argument.id = id, argument.addr = (uintptr_t)&value,
	      ioctl(vcpu, KVM_GET_ONE_REG, &argument)));
}

int64_t eventfd_write(long n, int fd)
{
	uint64_t events;

	LOOP((events = 1, write(fd, &events, sizeof(events))));
}
