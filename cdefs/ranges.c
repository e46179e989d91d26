/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges of guest addresses, and those that are served here instead of in Python.
 *
 * A VM's ranges are a table that never changes: who adds or removes one makes a new table and swaps a
 * pointer. A vCPU's thread says in its seat which table it reads, and looks whether that still is
 * the VM's; a table that no seat names is freed at the next change. So readers take no lock, and
 * writers wait for nobody. What a range remembers is not in the table but a thing of its own: it
 * outlives every table, and is counted.
 *
 * An access belongs to a range if all its bytes lie in it; one that is partly outside, or not of
 * 1, 2, 4 or 8 bytes, belongs to nobody.
 */
struct pykvm_range {
	uint64_t first, last;
	uint32_t kind;
	uint32_t id;
	uint32_t slots; /* where its handlers are: see ranges.h */
	uint32_t handled; /* bits: for loads of which widths Python has a handler; 4 on, for stores */
	struct pykvm_state *state;
};

struct pykvm_table {
	struct pykvm_table *next;
	uint32_t n;
	uint32_t n_drained;
	struct pykvm_state **drained; /* rings that have a handler, behind the ranges */
	struct pykvm_range ranges[]; /* by address; they do not overlap */
};

struct pykvm_seat {
	struct pykvm_seat *next;
	const struct pykvm_table *table; /* what its vCPU's thread reads, or NULL */
};

struct pykvm_bus {
	pthread_mutex_t lock; /* of writers */
	struct pykvm_table *table; /* NULL: no ranges */
	struct pykvm_table *retired;
	struct pykvm_seat *seats;
	uint64_t coalesced; /* where the ring of coalesced stores is in a vCPU's mapping, or 0 */
	uint32_t coalesced_length; /* entries of that */
	int in_hand; /* as a ring's, of what was taken out of that one */
	uint32_t ids, slots; /* how many were given out */
	unsigned long forks;
};

/* Serving ------------------------------------------------------------------------------------------ */

#define SERVED PYKVM_NOTHING
#define NOBODYS (PYKVM_EXITS - KVM_EXIT_MMIO)

/* The range in which an access lies with all its bytes. (Each exit looks for one.) */
static inline __attribute__((always_inline)) const struct pykvm_range *
range_of(const struct pykvm_table *table, uint64_t gpa, uint32_t size)
{
	const struct pykvm_range *range;
	uint32_t low = 0, high = table->n;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (table->ranges[middle].first <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	range = &table->ranges[low - 1];
	return gpa <= range->last && size - 1 <= range->last - gpa ? range : NULL;
}

/* SERVED with a load's value in `access`, or what to answer. `range`: where the access is, or NULL. */
static int serve(const struct pykvm_range *range, uint64_t gpa, int is_write,
		 struct pykvm_access *access)
{
	uint32_t size = (uint32_t)access->size;
	struct pykvm_state *state;
	int width, slot;

	if (!range || !size || size > 8 || (size & (size - 1)))
		return NOBODYS;
	state = range->state;
	access->offset = gpa - range->first;
	width = __builtin_ctz(size);
	slot = (int)(range->slots << 2) + width;
	if (!(range->handled >> ((is_write ? 4 : 0) + width) & 1))
		slot = NOBODYS;
	else if (!is_write)
		slot = PYKVM_LOADS - slot;
	switch (range->kind) {
	case PYKVM_RANGE_IGNORE:
		return SERVED;
	case PYKVM_RANGE_CONSTANT:
		if (!is_write)
			memcpy(&access->value, (const uint8_t *)state->words + access->offset, size);
		return SERVED;
	case PYKVM_RANGE_LATCH:
	case PYKVM_RANGE_STATUS:
		if (!is_write)
			access->value = load_shared((uint8_t *)&state->cell + access->offset, size);
		else if (range->kind == PYKVM_RANGE_LATCH)
			store_shared((uint8_t *)&state->cell + access->offset, size, access->value);
		return SERVED;
	case PYKVM_RANGE_COUNTER:
		__atomic_fetch_add(is_write ? &state->stores : &state->loads, 1, __ATOMIC_RELAXED);
		return SERVED;
	case PYKVM_RANGE_RING:
		return is_write && ring_put(state, *access) ? SERVED : slot;
	}
	return slot;
}

/*
 * The VM's table, which nobody frees until leave_table(); NULL where there are no ranges. Whoever
 * swaps tables must see the seat taken, or this the new table. Sequentially consistent accesses would
 * do for that, but QEMU 7.2 lets a load (LDAR) pass the store before it (STLR): hence a fence.
 */
static const struct pykvm_table *enter_table(struct pykvm_bus *bus, struct pykvm_seat *seat)
{
	const struct pykvm_table *table = __atomic_load_n(&bus->table, __ATOMIC_ACQUIRE), *now;

	while (table) {
		__atomic_store_n(&seat->table, table, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		now = __atomic_load_n(&bus->table, __ATOMIC_ACQUIRE);
		if (now == table)
			break;
		table = now;
	}
	return table;
}

static void leave_table(struct pykvm_seat *seat)
{
	__atomic_store_n(&seat->table, NULL, __ATOMIC_RELEASE);
}

/* Whether a ring that has a handler holds something, or a store of it has yet to reach that. */
static int rings_wait(const struct pykvm_table *table)
{
	uint32_t n;

	/* In this order: ring_take() says that something is in hand before it is in the ring no more. */
	for (n = 0; n < table->n_drained; n++)
		if (__atomic_load_n(&table->drained[n]->used, __ATOMIC_ACQUIRE) ||
		    __atomic_load_n(&table->drained[n]->in_hand, __ATOMIC_ACQUIRE))
			return 1;
	return 0;
}
