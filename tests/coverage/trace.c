/* SPDX-License-Identifier: Apache-2.0
 *
 * Included by cdefs/request.c in the test build: remembers which calls were made, on what, and how
 * they ended; and can make one of them do nothing, to see which test notices. Python reaches it
 * through the symbols below (tests/coverage/trace.py), so the binding itself knows nothing of it.
 */
#include <fcntl.h>
#include <stdio.h>

#define SEEN_MAX 4096
#define MUTED_MAX 16
#define VISIBLE __attribute__((visibility("default"), used))

/* One line for all calls that are the same in these four. */
struct seen {
	char kind[32]; /* what the descriptor is, in the kernel's words */
	uint32_t number;
	uint64_t key; /* what the call was about: a capability, an attribute, a family, an exit */
	int64_t outcome; /* -errno, or what it answered where that matters, else 0 */
};

static struct seen seen[SEEN_MAX];
static int seen_count;
static struct muted {
	struct seen call;
	int any_key;
} muted[MUTED_MAX];
static int muted_count;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;

static void kind_of(int fd, char kind[32])
{
	char path[32], target[64];
	const char *name = target;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, target, sizeof(target) - 1);
	target[size < 0 ? 0 : size] = 0;
	if (!strncmp(name, "anon_inode:", 11))
		name += 11;
	snprintf(kind, 32, "%.31s", name);
	kind[strcspn(kind, ":")] = 0; /* kvm-vcpu:3 */
}

/* Groups of registers: which register it was would only fill the table. */
static int names_registers(const char *kind, uint32_t group)
{
	return !strncmp(kind, "kvm-arm-vgic", 12) && (group == 1 || group == 2 || (group >= 5 && group <= 8));
}

static uint64_t key_of(const char *kind, uint32_t number, uintptr_t argument)
{
	const struct kvm_device_attr *attr = (const void *)argument;
	const struct kvm_one_reg *reg = (const void *)argument;
	const struct kvm_create_device *device = (const void *)argument;

	switch (number) {
	case KVM_CHECK_EXTENSION:
		return argument;
	case KVM_ENABLE_CAP:
		return argument ? *(const uint32_t *)argument : 0;
	case KVM_CREATE_DEVICE:
		return argument ? device->type | (uint64_t)device->flags << 32 : 0;
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		if (names_registers(kind, attr->group))
			return (uint64_t)attr->group << 32;
		return (uint64_t)attr->group << 32 | (uint32_t)attr->attr;
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG:
		return reg->id & KVM_REG_ARM_COPROC_MASK;
	default:
		return 0;
	}
}

static void remember(const char *kind, uint32_t number, uint64_t key, int64_t outcome)
{
	int i;

	pthread_mutex_lock(&seen_lock);
	for (i = seen_count - 1; i >= 0; i--)
		if (seen[i].number == number && seen[i].key == key && seen[i].outcome == outcome &&
		    !strcmp(seen[i].kind, kind))
			break;
	if (i < 0 && seen_count < SEEN_MAX) {
		struct seen *line = &seen[seen_count++];

		strcpy(line->kind, kind);
		line->number = number;
		line->key = key;
		line->outcome = outcome;
	}
	pthread_mutex_unlock(&seen_lock);
}

static int mutes(const char *kind, uint32_t number, uint64_t key)
{
	int i;

	for (i = 0; i < muted_count; i++)
		if (muted[i].call.number == number && (muted[i].any_key || muted[i].call.key == key) &&
		    !strcmp(muted[i].call.kind, kind))
			return 1;
	return 0;
}

/* Nothing was done: 0, but a descriptor where one is expected, lest its owner close ours. */
static int answer_of_nothing(uint32_t number, uintptr_t argument)
{
	int made = -1;

	if (number == KVM_CREATE_VM || number == KVM_CREATE_VCPU || number == KVM_CREATE_DEVICE ||
	    number == KVM_GET_STATS_FD || number == KVM_CREATE_GUEST_MEMFD)
		made = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (number != KVM_CREATE_DEVICE)
		return made < 0 ? 0 : made;
	((struct kvm_create_device *)argument)->fd = (uint32_t)made;
	return 0;
}

/* Fits what mutes every exit alone. */
#define NO_EXIT UINT64_MAX

static int traced_ioctl(int fd, unsigned int number, uintptr_t argument)
{
	char kind[32];
	uint64_t key;
	int result, error;

	kind_of(fd, kind);
	key = key_of(kind, number, argument);
	/* One kind of exit is muted where it is told: the guest has to run all the same. */
	if (mutes(kind, number, number == KVM_RUN ? NO_EXIT : key))
		return answer_of_nothing(number, argument);
	result = ioctl(fd, number, argument);
	error = errno;
	if (number != KVM_RUN) {
		int64_t answer = number == KVM_CHECK_EXTENSION ? result > 0 : 0;

		remember(kind, number, key, result < 0 ? -error : answer);
	}
	errno = error;
	return result;
}

/* What brought a vCPU back; of system events, which one. */
static void trace_exit(int fd, struct kvm_run *run)
{
	uint64_t key = run->exit_reason;
	char kind[32];

	kind_of(fd, kind);
	if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT)
		key |= (uint64_t)run->system_event.type << 32;
	remember(kind, KVM_RUN, key, 0);
	if (mutes(kind, KVM_RUN, key) || mutes(kind, KVM_RUN, run->exit_reason))
		run->exit_reason = KVM_EXIT_UNKNOWN;
}

#define TRACE_EXIT(fd, run) trace_exit(fd, run)

/* From here on, the calls of cdefs/ go through the trace. */
#define ioctl traced_ioctl

VISIBLE void pykvm_trace_reset(void)
{
	pthread_mutex_lock(&seen_lock);
	seen_count = 0;
	pthread_mutex_unlock(&seen_lock);
}

/* The index-th call since the reset: 1, or 0 where there is none. */
VISIBLE int pykvm_trace_read(int index, char kind[32], uint32_t *number, uint64_t *key, int64_t *outcome)
{
	int found;

	pthread_mutex_lock(&seen_lock);
	found = index < seen_count;
	if (found) {
		strcpy(kind, seen[index].kind);
		*number = seen[index].number;
		*key = seen[index].key;
		*outcome = seen[index].outcome;
	}
	pthread_mutex_unlock(&seen_lock);
	return found;
}

/* This call does nothing from now on, whatever it is about where `any_key` is set. */
VISIBLE void pykvm_trace_mute(const char *kind, uint32_t number, uint64_t key, int any_key)
{
	struct muted *line = &muted[muted_count];

	if (muted_count == MUTED_MAX)
		return;
	snprintf(line->call.kind, sizeof(line->call.kind), "%s", kind);
	line->call.number = number;
	line->call.key = key;
	line->any_key = any_key;
	muted_count++;
}

/* Every call is made again. */
VISIBLE void pykvm_trace_unmute(void)
{
	muted_count = 0;
}
