/* SPDX-License-Identifier: Apache-2.0
 *
 * What every other file here stands on. No kernel header is included: an old one on the build machine
 * must change nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Marks what Python calls: cdefs/build.py collects these prototypes. */
#define API static

/* The same number has another meaning elsewhere: refuse before the kernel sees it. */
#ifdef __aarch64__
#define ARM64_ONLY ((void)0)
#else
#define ARM64_ONLY return PYKVM_NOT_ARM64
#endif

/*
 * Leaves a new descriptor where its owner looks, before Python hears of it: a signal handler that
 * raises as the call returns would lose a mere return value, and with it the descriptor.
 */
static int hand_over(int result, int *made)
{
	if (result < 0)
		return result;
	*made = result;
	return 0;
}

/* Closes the descriptor that lies here, whoever else tries the same: its number is used once. */
API int close_once(int *made)
{
	int fd = __atomic_exchange_n(made, -1, __ATOMIC_ACQ_REL);

	return fd >= 0 && close(fd) < 0 && errno != EINTR ? -errno : 0; /* closed also after EINTR */
}

/*
 * An own, close-on-exec descriptor for the same file, or -1 with errno. (glibc's fcntl() would need a
 * glibc of 2.28.)
 */
static int duplicate(int fd)
{
	return (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
}

static unsigned long forks;

static void count_fork(void)
{
	forks++;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, count_fork);
}

/* Changes in a forked child: what was made before belongs to the parent. */
API unsigned long forks_seen(void)
{
	return forks;
}
