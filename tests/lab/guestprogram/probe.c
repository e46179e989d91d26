/* SPDX-License-Identifier: Apache-2.0
 *
 * What a guest has to show beyond busybox: `probe vsock PORT COUNT`, `probe suspend SECONDS`, `probe pmu`,
 * `probe sve`, `probe mte`.
 * Each prints one line and exits with 0 if the thing works.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
/* After the C library's own, which they build on. */
#include <linux/perf_event.h>
#include <linux/rtc.h>
#include <linux/vm_sockets.h>

#ifndef PROT_MTE
#define PROT_MTE 0x20
#endif
#define TAGGED_AND_SYNCHRONOUS (1UL | 1UL << 1 | 0xfffeUL << 3)
#define HWCAP2_HAS_MTE (1UL << 18)
#define HWCAP_HAS_SVE (1UL << 22)

static int fail(const char *what)
{
	printf("probe: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Blocks of 4 KiB to the host and back, each compared. */
static int vsock(unsigned port, unsigned count)
{
	struct sockaddr_vm host = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port
	};
	static unsigned char sent[4096], got[4096];
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&host, sizeof host))
		return fail("vsock");
	for (unsigned round = 0; round < count; round++) {
		memset(sent, (int)(round * 7 + 1), sizeof sent);
		if (write(fd, sent, sizeof sent) != (ssize_t)sizeof sent)
			return fail("write");
		for (size_t have = 0; have < sizeof got;) {
			ssize_t part = read(fd, got + have, sizeof got - have);

			if (part <= 0)
				return fail("read");
			have += (size_t)part;
		}
		if (memcmp(sent, got, sizeof got))
			return fail("another echo");
	}
	printf("vsock: %u echoes\n", count);
	return 0;
}

/* Cycles of a loop, by the CPU's own counter: the one event that emulated CPUs have as well. */
static int pmu(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE, .size = sizeof attr, .config = PERF_COUNT_HW_CPU_CYCLES,
		.exclude_kernel = 1
	};
	uint64_t before, after;
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	if (fd < 0)
		return fail("perf_event_open");
	if (read(fd, &before, 8) != 8)
		return fail("reading the counter");
	for (volatile int left = 1000000; left; left--)
		;
	if (read(fd, &after, 8) != 8)
		return fail("reading the counter");
	printf("pmu: cycles %llu\n", (unsigned long long)(after - before));
	return after - before < 100000;
}

static int sve(void)
{
	uint64_t bytes, sum;

	if (!(getauxval(AT_HWCAP) & HWCAP_HAS_SVE))
		return fail("no SVE");
	/* Each byte of a vector is 1; they are added up. */
	asm volatile(".arch_extension sve\n"
		     "rdvl %0, #1\n"
		     "ptrue p0.b\n"
		     "mov z0.b, #1\n"
		     "uaddv d1, p0, z0.b\n"
		     "fmov %1, d1\n"
		     : "=r"(bytes), "=r"(sum) : : "v0", "v1", "p0");
	printf("sve: vectors of %llu bytes\n", (unsigned long long)bytes);
	return sum != bytes || prctl(PR_SVE_GET_VL) < 16;
}

static sigjmp_buf caught;
static volatile int code;

static void on_fault(int signum, siginfo_t *info, void *context)
{
	(void)signum, (void)context;
	code = info->si_code;
	siglongjmp(caught, 1);
}

/* A pointer with its memory's tag reads; one with another tag is caught. */
static int mte(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	volatile char *plain, *tagged;

	if (!(getauxval(AT_HWCAP2) & HWCAP2_HAS_MTE))
		return fail("no MTE");
	if (prctl(PR_SET_TAGGED_ADDR_CTRL, TAGGED_AND_SYNCHRONOUS, 0, 0, 0))
		return fail("prctl");
	plain = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_MTE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (plain == MAP_FAILED)
		return fail("mmap");
	tagged = (volatile char *)((uintptr_t)plain | 5UL << 56);
	asm volatile(".arch armv8.5-a+memtag\nstg %0, [%0]" : : "r"(tagged) : "memory");
	*tagged = 'x';
	sigaction(SIGSEGV, &action, NULL);
	if (!sigsetjmp(caught, 1)) {
		*plain = 'y';
		printf("mte: a wrong tag was let through\n");
		return 1;
	}
	printf("mte: a wrong tag is caught, code %d\n", code);
	return code != 9 || *tagged != 'x'; /* SEGV_MTESERR */
}

/* Sleeps as a system, to be woken by the clock's alarm. */
static int suspend(int seconds)
{
	struct rtc_wkalrm alarm = { .enabled = 1 };
	int clock = open("/dev/rtc0", O_RDONLY), state = open("/sys/power/state", O_WRONLY);
	struct tm *when;
	time_t then;

	if (clock < 0 || state < 0)
		return fail("clock or power state");
	if (ioctl(clock, RTC_RD_TIME, &alarm.time))
		return fail("reading the clock");
	then = timegm(&(struct tm){ .tm_sec = alarm.time.tm_sec, .tm_min = alarm.time.tm_min,
				    .tm_hour = alarm.time.tm_hour, .tm_mday = alarm.time.tm_mday,
				    .tm_mon = alarm.time.tm_mon, .tm_year = alarm.time.tm_year });
	then += seconds;
	when = gmtime(&then);
	alarm.time = (struct rtc_time){ when->tm_sec, when->tm_min, when->tm_hour, when->tm_mday,
					when->tm_mon, when->tm_year, 0, 0, 0 };
	if (ioctl(clock, RTC_WKALM_SET, &alarm))
		return fail("setting the alarm");
	if (write(state, "mem", 3) != 3)
		return fail("suspending");
	printf("suspend: back\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "vsock") && argc == 4)
		return vsock((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
	if (!strcmp(what, "suspend") && argc == 3)
		return suspend(atoi(argv[2]));
	if (!strcmp(what, "pmu"))
		return pmu();
	if (!strcmp(what, "sve"))
		return sve();
	if (!strcmp(what, "mte"))
		return mte();
	return 2;
}
