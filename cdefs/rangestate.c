/* SPDX-License-Identifier: Apache-2.0
 *
 * What a range of guest addresses remembers: a latch's value, a ring's stores, a counter's counts, a
 * constant's bytes. It is counted, because it outlives the tables that name it (ranges.c), and any
 * vCPU's thread and any of Python's may be at it.
 */
struct pykvm_state {
	int holders;
	pthread_mutex_t lock; /* a ring's */
	int announce; /* the eventfd that hears when a ring is empty no more, or -1; under the lock */
	uint64_t cell; /* a latch's bytes */
	uint64_t loads, stores; /* a counter's */
	uint64_t room, first, used; /* a ring's, in entries; rings_wait() reads `used` without the lock */
	int in_hand; /* whether entries may be on their way to the ring's handler, or kept for it */
	uint64_t words[]; /* a constant's bytes; a ring's entries */
};

struct pykvm_access {
	uint64_t offset;
	uint64_t size;
	uint64_t value;
};

/* `words` of 8 bytes, as a constant's or a ring's; NULL where memory is short. */
API struct pykvm_state *state_new(uint64_t words)
{
	struct pykvm_state *state = calloc(1, sizeof(*state) + words * sizeof(uint64_t));

	if (!state)
		return NULL;
	state->holders = 1;
	state->announce = -1;
	state->room = words * sizeof(uint64_t) / sizeof(struct pykvm_access);
	pthread_mutex_init(&state->lock, NULL);
	return state;
}

API void state_drop(struct pykvm_state *state)
{
	if (!state || __atomic_sub_fetch(&state->holders, 1, __ATOMIC_ACQ_REL))
		return;
	if (state->announce >= 0)
		close(state->announce);
	free(state);
}

/* Before a range is made of it: a constant's bytes. */
API void state_fill(struct pykvm_state *state, const void *bytes, uint64_t n)
{
	memcpy(state->words, bytes, n);
}

API uint64_t latch_value(struct pykvm_state *state)
{
	return __atomic_load_n(&state->cell, __ATOMIC_ACQUIRE);
}

API void latch_set(struct pykvm_state *state, uint64_t value)
{
	__atomic_store_n(&state->cell, value, __ATOMIC_RELEASE);
}

API uint64_t counter_loads(struct pykvm_state *state)
{
	return __atomic_load_n(&state->loads, __ATOMIC_RELAXED);
}

API uint64_t counter_stores(struct pykvm_state *state)
{
	return __atomic_load_n(&state->stores, __ATOMIC_RELAXED);
}

/*
 * Takes up to `room` entries, oldest first; returns how many. That stands in `n`, too, before Python
 * hears of it: as in hand_over(), a signal's handler may raise as the call returns. They are in hand
 * until ring_handed_on(), whatever handlers raise: no vCPU's exit may overtake them.
 */
API int ring_take(struct pykvm_state *ring, struct pykvm_access *taken, uint32_t room, uint32_t *n)
{
	struct pykvm_access *entries = (struct pykvm_access *)ring->words;

	pthread_mutex_lock(&ring->lock);
	if (ring->used)
		__atomic_store_n(&ring->in_hand, 1, __ATOMIC_RELAXED);
	for (*n = 0; ring->used && *n < room; ++*n) {
		taken[*n] = entries[ring->first];
		ring->first = (ring->first + 1) % ring->room;
		__atomic_store_n(&ring->used, ring->used - 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&ring->lock);
	return (int)*n;
}

/* Whoever took entries has passed all of them on. */
API void ring_handed_on(struct pykvm_state *ring)
{
	__atomic_store_n(&ring->in_hand, 0, __ATOMIC_RELEASE);
}

/*
 * Before a range is made of it: a store that comes to the empty ring signals the eventfd `fd`, of which
 * the ring keeps a duplicate.
 */
API int ring_announce(struct pykvm_state *ring, int fd)
{
	ring->announce = duplicate(fd);
	return ring->announce < 0 ? -errno : 0;
}

/* Signals none from now on; returns once nobody uses the one before. */
static void ring_hush(struct pykvm_state *ring)
{
	int before;

	pthread_mutex_lock(&ring->lock);
	before = ring->announce;
	ring->announce = -1;
	pthread_mutex_unlock(&ring->lock);
	if (before >= 0)
		close(before);
}

static int ring_put(struct pykvm_state *ring, struct pykvm_access access)
{
	static const uint64_t one = 1;
	struct pykvm_access *entries = (struct pykvm_access *)ring->words;
	int fits;

	pthread_mutex_lock(&ring->lock);
	fits = ring->used < ring->room;
	if (fits) {
		entries[(ring->first + ring->used) % ring->room] = access;
		__atomic_store_n(&ring->used, ring->used + 1, __ATOMIC_RELAXED);
		/* EAGAIN: the counter is full, so its reader has yet to wake anyway. */
		if (ring->used == 1 && ring->announce >= 0)
			(void)!write(ring->announce, &one, sizeof(one));
	}
	pthread_mutex_unlock(&ring->lock);
	return fits;
}

/*
 * Memory that vCPUs and Python share: what is aligned is loaded and stored as a whole, the rest byte
 * by byte, as the hardware would.
 */
typedef uint16_t __attribute__((may_alias)) any16;
typedef uint32_t __attribute__((may_alias)) any32;
typedef uint64_t __attribute__((may_alias)) any64;

static uint64_t load_shared(const uint8_t *from, uint32_t size)
{
	uint64_t value = 0;
	uint32_t n;

	if ((uintptr_t)from % size == 0 && size == 8)
		return __atomic_load_n((const any64 *)from, __ATOMIC_ACQUIRE);
	if ((uintptr_t)from % size == 0 && size == 4)
		return __atomic_load_n((const any32 *)from, __ATOMIC_ACQUIRE);
	if ((uintptr_t)from % size == 0 && size == 2)
		return __atomic_load_n((const any16 *)from, __ATOMIC_ACQUIRE);
	for (n = 0; n < size; n++)
		value |= (uint64_t)__atomic_load_n(from + n, __ATOMIC_ACQUIRE) << 8 * n;
	return value;
}

static void store_shared(uint8_t *to, uint32_t size, uint64_t value)
{
	uint32_t n;

	if ((uintptr_t)to % size == 0 && size == 8)
		__atomic_store_n((any64 *)to, value, __ATOMIC_RELEASE);
	else if ((uintptr_t)to % size == 0 && size == 4)
		__atomic_store_n((any32 *)to, (uint32_t)value, __ATOMIC_RELEASE);
	else if ((uintptr_t)to % size == 0 && size == 2)
		__atomic_store_n((any16 *)to, (uint16_t)value, __ATOMIC_RELEASE);
	else
		for (n = 0; n < size; n++)
			__atomic_store_n(to + n, (uint8_t)(value >> 8 * n), __ATOMIC_RELEASE);
}
