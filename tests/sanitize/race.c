/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges change while threads serve accesses from them, as vCPUs' threads do: for the sanitizers, which
 * see races and memory that was freed too early. cdefs/ as one file comes before this one.
 */
#include <stdio.h>

#define READERS 3
#define ROUNDS 20000

static struct pykvm_bus bus;
static struct pykvm_state *ring, *latch;
static int readers_left = READERS;
static unsigned long served, put, taken;

static void *read_all(void *seat)
{
	unsigned long mine = 0, stores = 0;

	for (int n = 0; n < ROUNDS; n++) {
		const struct pykvm_table *table = enter_table(&bus, seat);
		struct pykvm_access access = { .size = 1u << n % 4, .value = (uint64_t)n };
		int is_write = n % 3 == 0, answer = NOBODYS;

		uint64_t gpa = (uint64_t)n % 64 * 8;

		if (table)
			answer = serve(range_of(table, gpa, (uint32_t)access.size), gpa, is_write, &access);
		if (table)
			rings_wait(table);
		leave_table(seat);
		mine += answer == SERVED;
		stores += answer == SERVED && is_write && n % 64 == 1;
	}
	__atomic_fetch_add(&served, mine, __ATOMIC_RELAXED);
	__atomic_fetch_add(&put, stores, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&readers_left, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *change_all(void *first)
{
	uint64_t gpa = 16 + *(uint64_t *)first * 8;

	for (unsigned int n = 0; __atomic_load_n(&readers_left, __ATOMIC_ACQUIRE); n++) {
		struct pykvm_state *state = state_new(2);
		int id = bus_next_range(&bus);

		if (bus_add(&bus, id, gpa + n % 5 * 16, 8, PYKVM_RANGE_IGNORE + n % 4, 0, 0, state))
			abort();
		state_drop(state); /* the tables have it yet */
		latch_set(latch, n);
		if (bus_remove(&bus, id))
			abort();
	}
	return NULL;
}

static void *take_all(void *unused)
{
	struct pykvm_access entries[16];
	uint32_t count;

	(void)unused;
	for (int last = 0, n = 1; !last || n;) {
		last = !__atomic_load_n(&readers_left, __ATOMIC_ACQUIRE);
		n = ring_take(ring, entries, 16, &count);
		taken += n;
		latch_value(latch);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[READERS + 3];
	uint64_t places[2] = { 0, 1 };

	bus_open(&bus);
	ring = state_new(3 * 32);
	latch = state_new(0);
	bus_add(&bus, bus_next_range(&bus), 0, 8, PYKVM_RANGE_LATCH, 0, 0, latch);
	bus_add(&bus, bus_next_range(&bus), 8, 8, PYKVM_RANGE_RING, 0, 0xf0, ring);
	for (int n = 0; n < READERS; n++)
		pthread_create(&threads[n], NULL, read_all, seat_new(&bus));
	for (int n = 0; n < 2; n++)
		pthread_create(&threads[READERS + n], NULL, change_all, &places[n]);
	pthread_create(&threads[READERS + 2], NULL, take_all, NULL);
	for (int n = 0; n < READERS + 3; n++)
		pthread_join(threads[n], NULL);
	bus_close(&bus);
	state_drop(ring);
	state_drop(latch);
	printf("%lu accesses served, %lu stores kept, %lu taken\n", served, put, taken);
	return put != taken || !served;
}
