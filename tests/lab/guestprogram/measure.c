/* SPDX-License-Identifier: Apache-2.0
 *
 * What a guest's devices and CPUs do in how much time: `measure read FILE SIZE COUNT` reads blocks one after the
 * other, `measure random FILE SIZE COUNT` anywhere; `measure letters COUNT` prints to the console;
 * `measure spin SECONDS` has all CPUs count at once.
 * Each prints one line, `measure: WHAT N`, where N is in microseconds; for spin, turns of a loop by each CPU.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static int done(const char *what, uint64_t start)
{
	printf("\nmeasure: %s %llu\n", what, (unsigned long long)(now() - start));
	return 0;
}

static int blocks(const char *what, const char *file, size_t size, unsigned count)
{
	int fd = open(file, O_RDONLY | O_DIRECT);
	uint64_t start = now(), state = 1;
	void *room = aligned_alloc(4096, size);
	off_t all = lseek(fd, 0, SEEK_END) / (off_t)size;

	for (unsigned n = 0; n < count; n++) {
		off_t block = n % all;

		if (*what == 'r' && what[1] == 'a') {
			state = state * 6364136223846793005u + 1442695040888963407u;
			block = (off_t)((state >> 33) % (uint64_t)all);
		}
		if (pread(fd, room, size, block * (off_t)size) != (ssize_t)size) {
			perror("measure");
			return 1;
		}
	}
	return done(what, start);
}

static int letters(size_t count)
{
	char line[64];
	uint64_t start;

	for (size_t n = 0; n < sizeof line; n++)
		line[n] = (char)('a' + n % 26);
	line[sizeof line - 1] = '\n';
	tcdrain(1);
	start = now();
	for (size_t left = count; left;) {
		ssize_t part = write(1, line, left < sizeof line ? left : sizeof line);

		if (part <= 0)
			return 1;
		left -= (size_t)part;
	}
	tcdrain(1);
	return done("letters", start);
}

static volatile int ended;

static void *count_up(void *turns)
{
	while (!ended)
		++*(volatile uint64_t *)turns;
	return NULL;
}

static int spin(unsigned seconds)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	static uint64_t turns[64][16];
	pthread_t threads[64];

	for (long cpu = 0; cpu < cpus; cpu++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		pthread_create(&threads[cpu], NULL, count_up, turns[cpu]);
		pthread_setaffinity_np(threads[cpu], sizeof set, &set);
	}
	sleep(seconds);
	ended = 1;
	printf("\nmeasure: spin");
	for (long cpu = 0; cpu < cpus; cpu++) {
		pthread_join(threads[cpu], NULL);
		printf(" %llu", (unsigned long long)turns[cpu][0]);
	}
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if ((!strcmp(what, "read") || !strcmp(what, "random")) && argc == 5)
		return blocks(what, argv[2], strtoul(argv[3], NULL, 0), (unsigned)atoi(argv[4]));
	if (!strcmp(what, "letters") && argc == 3)
		return letters(strtoul(argv[2], NULL, 0));
	if (!strcmp(what, "spin") && argc == 3)
		return spin((unsigned)atoi(argv[2]));
	return 2;
}
