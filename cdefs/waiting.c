/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores of the guest that wait in rings: they came before whatever it does now.
 */
static struct kvm_coalesced_mmio_ring *coalesced_ring(struct pykvm_vcpu *vcpu)
{
	uint64_t offset = __atomic_load_n(&vcpu->bus->coalesced, __ATOMIC_ACQUIRE);

	return offset ? (struct kvm_coalesced_mmio_ring *)((char *)vcpu->run + offset) : NULL;
}

static int coalesced_wait(struct pykvm_vcpu *vcpu)
{
	struct kvm_coalesced_mmio_ring *ring = coalesced_ring(vcpu);

	if (!ring)
		return 0;
	return __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) !=
		       __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&vcpu->bus->in_hand, __ATOMIC_ACQUIRE);
}

/*
 * Whether stores of the guest wait in the kernel's ring or in ours, or are in somebody's hand who has
 * taken them out: they came before this exit. Where there are no ranges, nobody could be given them.
 */
static int stores_wait(struct pykvm_vcpu *vcpu)
{
	const struct pykvm_table *table = enter_table(vcpu->bus, vcpu->seat);
	int found;

	if (!table)
		return 0;
	found = rings_wait(table);
	leave_table(vcpu->seat);
	return found || coalesced_wait(vcpu);
}

/* Whether stores to `range` wait in the kernel's ring, or are in somebody's hand, perhaps. */
static __attribute__((noinline)) int stores_wait_for(struct pykvm_vcpu *vcpu,
						     const struct pykvm_range *range)
{
	struct kvm_coalesced_mmio_ring *ring = coalesced_ring(vcpu);
	uint32_t at, last, length;
	uint64_t gpa;

	if (!ring)
		return 0;
	length = __atomic_load_n(&vcpu->bus->coalesced_length, __ATOMIC_RELAXED);
	at = __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) % length;
	last = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) % length;
	for (; at != last; at = (at + 1) % length) {
		gpa = __atomic_load_n(&ring->coalesced_mmio[at].phys_addr, __ATOMIC_ACQUIRE);
		if (range->first <= gpa && gpa <= range->last)
			return 1;
	}
	return __atomic_load_n(&vcpu->bus->in_hand, __ATOMIC_ACQUIRE);
}

/*
 * Whether an access to `range`, or to none (NULL), would overtake stores if it were served now: those to
 * a latch or a ring. What other kinds of ranges do depends on no order.
 */
static int would_overtake(struct pykvm_vcpu *vcpu, const struct pykvm_range *range)
{
	return __atomic_load_n(&vcpu->bus->coalesced, __ATOMIC_RELAXED) && range &&
	       (range->kind == PYKVM_RANGE_LATCH || range->kind == PYKVM_RANGE_RING) &&
	       stores_wait_for(vcpu, range);
}
