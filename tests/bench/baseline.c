/* SPDX-License-Identifier: Apache-2.0
 *
 * The yardstick: each call as a C program would make it, errors checked, n times over. Every function
 * returns the nanoseconds that its loop took, by the clock that Python's perf_counter_ns() reads, or
 * -errno of the first call that failed.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
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

int64_t set_one_reg(long n, int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg argument;

	LOOP((argument.id = id, argument.addr = (uintptr_t)&value,
	      ioctl(vcpu, KVM_SET_ONE_REG, &argument)));
}

/* One after the other; C has no cheaper way. */
static int each_register(int vcpu, unsigned long request, const uint64_t *ids, long count,
			 uint64_t *values)
{
	struct kvm_one_reg argument;

	for (long i = 0; i < count; i++) {
		argument.id = ids[i];
		argument.addr = (uintptr_t)&values[i];
		if (ioctl(vcpu, request, &argument) < 0)
			return -1;
	}
	return 0;
}

int64_t get_regs(long n, int vcpu, const uint64_t *ids, long count, uint64_t *values)
{
	LOOP(each_register(vcpu, KVM_GET_ONE_REG, ids, count, values));
}

int64_t set_regs(long n, int vcpu, const uint64_t *ids, long count, uint64_t *values)
{
	LOOP(each_register(vcpu, KVM_SET_ONE_REG, ids, count, values));
}

int64_t get_device_attr(long n, int device, uint32_t group, uint64_t attr)
{
	uint64_t value;
	struct kvm_device_attr argument = { 0 };

	LOOP((argument.group = group, argument.attr = attr, argument.addr = (uintptr_t)&value,
	      ioctl(device, KVM_GET_DEVICE_ATTR, &argument)));
}

static uint64_t stored;

/* What a device does in C: it takes address, size and data, and says whether it was a store. */
static int one_store(int vcpu, const struct kvm_run *run)
{
	uint64_t data;

	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return -1;
	if (run->exit_reason != KVM_EXIT_MMIO || !run->mmio.is_write) {
		errno = EPROTO;
		return -1;
	}
	memcpy(&data, run->mmio.data, sizeof(data));
	stored += data + run->mmio.phys_addr + run->mmio.len;
	return 0;
}

int64_t run_to_store(long n, int vcpu, const struct kvm_run *run)
{
	LOOP(one_store(vcpu, run));
}

/* Every store up to the one at `last`, each in an exit of its own. */
static int stores_up_to(int vcpu, const struct kvm_run *run, uint64_t last)
{
	do {
		if (one_store(vcpu, run) < 0)
			return -1;
	} while (run->mmio.phys_addr != last);
	return 0;
}

int64_t run_to_last_store(long n, int vcpu, const struct kvm_run *run, uint64_t last)
{
	LOOP(stores_up_to(vcpu, run, last));
}

static void drain(struct kvm_coalesced_mmio_ring *ring, uint32_t length)
{
	const struct kvm_coalesced_mmio *one;
	uint32_t first;
	uint64_t data;

	for (first = ring->first; first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE);
	     first = (first + 1) % length) {
		one = &ring->coalesced_mmio[first];
		memcpy(&data, one->data, sizeof(data));
		stored += data + one->phys_addr + one->len;
	}
	__atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
}

/* As stores_up_to(), where those before the last one wait in a ring, which is sometimes full. */
static int coalesced_up_to(int vcpu, const struct kvm_run *run, struct kvm_coalesced_mmio_ring *ring,
			   uint32_t length, uint64_t last)
{
	do {
		if (one_store(vcpu, run) < 0)
			return -1;
		drain(ring, length);
	} while (run->mmio.phys_addr != last);
	return 0;
}

int64_t run_coalesced(long n, int vcpu, const struct kvm_run *run,
		      struct kvm_coalesced_mmio_ring *ring, uint32_t length, uint64_t last)
{
	LOOP(coalesced_up_to(vcpu, run, ring, length, last));
}

int64_t copy(long n, void *to, const void *from, size_t size)
{
	/* Without the barrier a compiler may leave out what nobody reads. */
	LOOP((memcpy(to, from, size), ({ __asm__ volatile("" : : "r"(to) : "memory"); }), 0));
}

/* The numbers of the pages whose bits are set, as one writes it. */
static long list_pages(const uint64_t *bitmap, long words, uint32_t *pages)
{
	long count = 0;

	for (long i = 0; i < words; i++)
		for (uint64_t word = bitmap[i]; word; word &= word - 1)
			pages[count++] = (uint32_t)(64 * i + __builtin_ctzll(word));
	return count;
}

int64_t dirty_pages(long n, const uint64_t *bitmap, long words, uint32_t *pages)
{
	LOOP(list_pages(bitmap, words, pages));
}
