/* SPDX-License-Identifier: Apache-2.0
 *
 * The two rings that a guest's vCPUs fill while the program reads: the dirty ring of each vCPU, and the
 * VM's one ring of coalesced stores. An entry is read after the word that announces it, and given
 * back after it was read; Python has no such order. Each ring has one place where the next entry is
 * taken, so threads take turns.
 */
struct pykvm_dirty_ring {
	pthread_mutex_t lock;
	struct kvm_dirty_gfn *entries; /* NULL once closed */
	uint32_t count; /* a power of two */
	uint32_t next;
	unsigned long forks;
};

/*
 * Pages from the start of a vCPU's mapping to its dirty ring: KVM_DIRTY_LOG_PAGE_OFFSET. It is not in
 * rings.h because arm64's headers have it as 0 before 6.2.
 */
API int dirty_ring_page(void)
{
	return 64;
}

API void dirty_ring_open(struct pykvm_dirty_ring *ring, void *entries, uint32_t count)
{
	memset(ring, 0, sizeof(*ring));
	pthread_mutex_init(&ring->lock, NULL);
	ring->entries = entries;
	ring->count = count;
	ring->forks = forks_seen();
}

static int dirty_ring_lock(struct pykvm_dirty_ring *ring)
{
	if (ring->forks != forks_seen())
		return -EIO;
	pthread_mutex_lock(&ring->lock);
	if (!ring->entries) {
		pthread_mutex_unlock(&ring->lock);
		return PYKVM_CLOSED;
	}
	return 0;
}

/*
 * Takes up to `room` entries, oldest first; `n` says how many, as in ring_take(). It ends at the first
 * that has nothing new: after a whole round that is one taken earlier, which stays RESET until the
 * kernel has reset it.
 */
API int dirty_ring_harvest(struct pykvm_dirty_ring *ring, struct kvm_dirty_gfn *taken, uint32_t room,
			   uint32_t *n)
{
	int result = dirty_ring_lock(ring);

	if (result)
		return result;
	for (*n = 0; *n < room; ++*n) {
		struct kvm_dirty_gfn *entry = &ring->entries[ring->next & (ring->count - 1)];

		if (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		taken[*n] = *entry;
		__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		ring->next++;
	}
	pthread_mutex_unlock(&ring->lock);
	return (int)*n;
}

/* Forgets the mapping, so that the caller may release it. Again is harmless. */
API void dirty_ring_close(struct pykvm_dirty_ring *ring)
{
	int result = dirty_ring_lock(ring);

	if (result == -EIO) /* a forked child: nobody is inside, and the lock is not to be touched */
		ring->entries = NULL;
	if (result)
		return;
	ring->entries = NULL;
	pthread_mutex_unlock(&ring->lock);
}

/* One for all VMs: two objects may stand for the same VM, and nobody stays long. */
static pthread_mutex_t draining = PTHREAD_MUTEX_INITIALIZER;

/* A store that waited: `slot` is what serve() answers for it, for Python to go on with. */
struct pykvm_store {
	int64_t slot;
	uint64_t gpa;
	uint64_t offset; /* in the range whose handler `slot` is */
	uint64_t size;
	uint64_t value;
};

static struct pykvm_store store_of(const struct kvm_coalesced_mmio *entry)
{
	struct pykvm_store store = { .gpa = entry->phys_addr, .size = entry->len };

	if (store.size > 8) /* the ring is memory that others may have written to */
		store.size = 8;
	memcpy(&store.value, entry->data, store.size);
	return store;
}

/*
 * Takes up to `room` stores, oldest first, from the ring in the `size` bytes at `offset` of the vCPU's
 * mapping, and serves those that need no Python; `n` says how many are left for that, as in ring_take().
 * PYKVM_DRAIN: one has to stay, as its ring of ours is full of stores that came before.
 * Both indexes are in memory that others may have written to: whatever they hold, nothing beyond the
 * ring is touched.
 */
API int drain_coalesced_mmio(struct pykvm_vcpu *vcpu, uint64_t offset, uint64_t size,
			     struct pykvm_store *taken, uint32_t room, uint32_t *n)
{
	uint32_t length = coalesced_entries(size);
	struct kvm_coalesced_mmio_ring *ring;
	uint32_t first, last;
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	ring = (struct kvm_coalesced_mmio_ring *)((char *)vcpu->run + offset);
	pthread_mutex_lock(&draining);
	first = __atomic_load_n(&ring->first, __ATOMIC_RELAXED) % length;
	last = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) % length;
	if (first != last) /* before it is in the ring no more, as ring_take() */
		__atomic_store_n(&vcpu->bus->in_hand, 1, __ATOMIC_RELAXED);
	for (*n = 0; *n < room && first != last; first = (first + 1) % length) {
		struct pykvm_store store = store_of(&ring->coalesced_mmio[first]);
		struct pykvm_access access = { .size = store.size, .value = store.value };

		uint32_t kind;

		store.slot = access_range(vcpu->bus, store.gpa, 1, &access, &kind);
		if (store.slot >= 0 && kind == PYKVM_RANGE_RING) { /* full */
			result = PYKVM_DRAIN;
			break;
		}
		store.offset = access.offset;
		if (store.slot != SERVED)
			taken[(*n)++] = store;
	}
	__atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&draining);
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

static int coalesced_mmio(int vm, unsigned int number, uint64_t gpa, uint32_t size)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = gpa, .size = size };

	return request(vm, number, (uintptr_t)&zone);
}

API int register_coalesced_mmio(int vm, uint64_t gpa, uint32_t size)
{
	return coalesced_mmio(vm, KVM_REGISTER_COALESCED_MMIO, gpa, size);
}

/* Takes back every zone that this range lies in. */
API int unregister_coalesced_mmio(int vm, uint64_t gpa, uint32_t size)
{
	return coalesced_mmio(vm, KVM_UNREGISTER_COALESCED_MMIO, gpa, size);
}
