/* SPDX-License-Identifier: Apache-2.0
 *
 * An eventfd that is safe to signal while another thread closes it. A descriptor number is reused at
 * once after close: a late write would land in a stranger's file. So signals pass a gate, and
 * closing shuts the gate and waits until nobody is inside.
 */
struct pykvm_gate {
	int fd;
	int shut;
	int inside;
	unsigned long forks;
};

API void gate_open(struct pykvm_gate *gate, int fd)
{
	gate->fd = fd;
	gate->shut = 0;
	gate->inside = 0;
	gate->forks = forks_seen();
}

static int write_event(struct pykvm_gate *gate, uint64_t events)
{
	int result = 0;

	__atomic_fetch_add(&gate->inside, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&gate->shut, __ATOMIC_SEQ_CST))
		result = PYKVM_CLOSED;
	else if (write(gate->fd, &events, sizeof(events)) < 0)
		result = -errno;
	__atomic_fetch_sub(&gate->inside, 1, __ATOMIC_SEQ_CST);
	return result;
}

/* One argument, because cffi passes one without building a tuple: half the cost of two. */
API int gate_signal(struct pykvm_gate *gate)
{
	return write_event(gate, 1);
}

API int gate_signal_many(struct pykvm_gate *gate, uint64_t events)
{
	return write_event(gate, events);
}

/* Returns when no thread is inside any more; the descriptor may be closed then. */
API void gate_shut(struct pykvm_gate *gate)
{
	__atomic_store_n(&gate->shut, 1, __ATOMIC_SEQ_CST);
	/* A forked child has no such threads: what its copy of the counter says will never change. */
	if (gate->forks != forks_seen())
		return;
	while (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST))
		sched_yield();
}
