/* SPDX-License-Identifier: Apache-2.0
 *
 * How a VM's table of ranges changes: see ranges.c. Writers take turns, and wait for no reader.
 */
API void bus_open(struct pykvm_bus *bus)
{
	memset(bus, 0, sizeof(*bus));
	pthread_mutex_init(&bus->lock, NULL);
	bus->forks = forks_seen();
}

static void free_table(struct pykvm_table *table)
{
	uint32_t n;

	for (n = 0; n < table->n; n++)
		state_drop(table->ranges[n].state);
	free(table);
}

static int is_read(struct pykvm_bus *bus, const struct pykvm_table *table)
{
	struct pykvm_seat *seat;

	for (seat = bus->seats; seat; seat = seat->next)
		if (__atomic_load_n(&seat->table, __ATOMIC_SEQ_CST) == table)
			return 1;
	return 0;
}

static void publish(struct pykvm_bus *bus, struct pykvm_table *table)
{
	struct pykvm_table *old = __atomic_exchange_n(&bus->table, table, __ATOMIC_SEQ_CST);
	struct pykvm_table **link = &bus->retired;

	if (old) {
		old->next = bus->retired;
		bus->retired = old;
	}
	while ((old = *link)) {
		if (is_read(bus, old)) {
			link = &old->next;
			continue;
		}
		*link = old->next;
		free_table(old);
	}
}

static struct pykvm_table *table_new(uint32_t n)
{
	struct pykvm_table *table =
		calloc(1, sizeof(*table) + n * (sizeof(table->ranges[0]) + sizeof(table->drained[0])));

	if (table)
		table->drained = (struct pykvm_state **)&table->ranges[n];
	return table;
}

static void append(struct pykvm_table *table, const struct pykvm_range *range)
{
	table->ranges[table->n++] = *range;
	if (range->state)
		__atomic_add_fetch(&range->state->holders, 1, __ATOMIC_RELAXED);
	if (range->kind == PYKVM_RANGE_RING && range->handled)
		table->drained[table->n_drained++] = range->state;
}

static int bus_lock(struct pykvm_bus *bus)
{
	if (bus->forks != forks_seen())
		return -EIO;
	pthread_mutex_lock(&bus->lock);
	return 0;
}

static int put_between(struct pykvm_bus *bus, const struct pykvm_range *new)
{
	const struct pykvm_table *present = bus->table;
	uint32_t n, count = present ? present->n : 0;
	struct pykvm_table *table = table_new(count + 1);

	if (!table)
		return -ENOMEM;
	for (n = 0; n < count && present->ranges[n].last < new->first; n++)
		append(table, &present->ranges[n]);
	if (n < count && present->ranges[n].first <= new->last) {
		free_table(table);
		return -EEXIST;
	}
	append(table, new);
	for (; n < count; n++)
		append(table, &present->ranges[n]);
	publish(bus, table);
	return 0;
}

/*
 * A number that nothing of its kind in this VM had or will have: of a range, or of a place for the
 * handlers of one, which is filled before the first access can come.
 */
static int next_number(struct pykvm_bus *bus, uint32_t *counter)
{
	int result = bus_lock(bus);

	if (result)
		return result;
	result = *counter < 0x10000000 / 8 ? (int)(*counter)++ : -ENOSPC;
	pthread_mutex_unlock(&bus->lock);
	return result;
}

API int bus_next_range(struct pykvm_bus *bus)
{
	return next_number(bus, &bus->ids);
}

API int bus_next_slots(struct pykvm_bus *bus)
{
	return next_number(bus, &bus->slots);
}

/* Adds a range of `size` bytes (0: to the end of all addresses). -EEXIST where it overlaps another. */
API int bus_add(struct pykvm_bus *bus, uint32_t id, uint64_t gpa, uint64_t size, uint32_t kind,
		uint32_t slots, uint32_t handled, struct pykvm_state *state)
{
	const struct pykvm_range range = { .first = gpa, .last = gpa + size - 1, .kind = kind,
					   .id = id, .slots = slots, .handled = handled,
					   .state = state };
	int result = bus_lock(bus);

	if (result)
		return result;
	result = put_between(bus, &range);
	pthread_mutex_unlock(&bus->lock);
	return result;
}

static int take_out(struct pykvm_bus *bus, uint32_t id)
{
	const struct pykvm_table *present = bus->table;
	uint32_t n, count = present ? present->n : 0;
	struct pykvm_state *ring = NULL;
	struct pykvm_table *table;

	for (n = 0; n < count && present->ranges[n].id != id; n++)
		;
	if (n == count)
		return -ENOENT;
	if (present->ranges[n].kind == PYKVM_RANGE_RING)
		ring = present->ranges[n].state;
	table = count > 1 ? table_new(count - 1) : NULL;
	if (!table && count > 1)
		return -ENOMEM;
	for (n = 0; n < count; n++)
		if (present->ranges[n].id != id)
			append(table, &present->ranges[n]);
	if (ring)
		__atomic_add_fetch(&ring->holders, 1, __ATOMIC_RELAXED);
	publish(bus, table);
	if (ring) {
		ring_hush(ring);
		state_drop(ring);
	}
	return 0;
}

/* Removes a range; -ENOENT where it is gone already. */
API int bus_remove(struct pykvm_bus *bus, uint32_t id)
{
	int result = bus_lock(bus);

	if (result)
		return result;
	result = take_out(bus, id);
	pthread_mutex_unlock(&bus->lock);
	return result;
}

/* A seat for one more vCPU. It stays: KVM cannot take a vCPU back either. */
static struct pykvm_seat *seat_new(struct pykvm_bus *bus)
{
	struct pykvm_seat *seat = calloc(1, sizeof(*seat));

	if (!seat || bus_lock(bus)) {
		free(seat);
		return NULL;
	}
	seat->next = bus->seats;
	bus->seats = seat;
	pthread_mutex_unlock(&bus->lock);
	return seat;
}

/* When nobody can run or change anything any more. */
API void bus_close(struct pykvm_bus *bus)
{
	struct pykvm_table *table;
	struct pykvm_seat *seat;

	if (bus->forks != forks_seen())
		return; /* another thread may have been changing it: let it be */
	if (bus->table)
		publish(bus, NULL);
	while ((table = bus->retired)) {
		bus->retired = table->next;
		free_table(table);
	}
	while ((seat = bus->seats)) {
		bus->seats = seat->next;
		free(seat);
	}
}

/* As bus_access(); `kind`: of the range, or 0. */
static int access_range(struct pykvm_bus *bus, uint64_t gpa, int is_write, struct pykvm_access *access,
			uint32_t *kind)
{
	const struct pykvm_range *range = NULL;
	int result = bus_lock(bus);

	if (result)
		return result;
	if (bus->table)
		range = range_of(bus->table, gpa, (uint32_t)access->size);
	*kind = range ? range->kind : 0;
	result = serve(range, gpa, is_write, access);
	pthread_mutex_unlock(&bus->lock);
	return result;
}

/* As a vCPU's access is served, for whoever is none. */
API int bus_access(struct pykvm_bus *bus, uint64_t gpa, int is_write, struct pykvm_access *access)
{
	uint32_t kind;

	return access_range(bus, gpa, is_write, access, &kind);
}

/* As ring_handed_on(), of what came out of the kernel's ring. */
API void bus_handed_on(struct pykvm_bus *bus)
{
	__atomic_store_n(&bus->in_hand, 0, __ATOMIC_RELEASE);
}

static uint32_t coalesced_entries(uint64_t size)
{
	return (uint32_t)((size - sizeof(struct kvm_coalesced_mmio_ring)) /
			  sizeof(struct kvm_coalesced_mmio));
}

/*
 * Where a vCPU's mapping shows the kernel's ring, and its bytes: from now on its stores come before
 * later exits.
 */
API void bus_watch_coalesced(struct pykvm_bus *bus, uint64_t offset, uint64_t size)
{
	__atomic_store_n(&bus->coalesced_length, coalesced_entries(size), __ATOMIC_RELAXED);
	__atomic_store_n(&bus->coalesced, offset, __ATOMIC_RELEASE);
}
