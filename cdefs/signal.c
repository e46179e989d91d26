/* SPDX-License-Identifier: Apache-2.0
 *
 * An eventfd that is safe to signal while another thread closes it. A descriptor number is reused at
 * once after close: a late write would land in a stranger's file. So signals pass a gate, and
 * closing shuts the gate and waits until nobody is inside. Reads pass it for the same reason.
 */
struct pykvm_gate {
	int fd;
	int open; /* 0 as the gate is made: whoever closes one that was given no eventfd closes nothing */
	int inside;
	unsigned long forks;
};

/* The eventfd is in the gate before Python hears of it: see hand_over(). */
static int gate_open(struct pykvm_gate *gate, int fd)
{
	if (fd < 0)
		return -errno;
	gate->fd = fd;
	gate->forks = forks_seen();
	__atomic_store_n(&gate->open, 1, __ATOMIC_SEQ_CST);
	return fd;
}

/* A new eventfd for a new gate, which it returns. */
API int gate_make(struct pykvm_gate *gate, unsigned int count)
{
	return gate_open(gate, eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC));
}

/* The same with a duplicate of somebody's. */
API int gate_adopt(struct pykvm_gate *gate, int fd)
{
	return gate_open(gate, duplicate(fd));
}

static int enter(struct pykvm_gate *gate)
{
	__atomic_fetch_add(&gate->inside, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&gate->open, __ATOMIC_SEQ_CST))
		return 0;
	__atomic_fetch_sub(&gate->inside, 1, __ATOMIC_SEQ_CST);
	return PYKVM_CLOSED;
}

static void leave(struct pykvm_gate *gate)
{
	__atomic_fetch_sub(&gate->inside, 1, __ATOMIC_SEQ_CST);
}

static int write_event(struct pykvm_gate *gate, uint64_t events)
{
	int result = enter(gate);

	if (result)
		return result;
	if (write(gate->fd, &events, sizeof(events)) < 0)
		result = -errno;
	leave(gate);
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

/* Takes the counter, 0 if nothing was signalled. All ones, which no counter can reach: closed. */
API uint64_t gate_take(struct pykvm_gate *gate)
{
	uint64_t events = 0;

	if (enter(gate))
		return UINT64_MAX;
	if (read(gate->fd, &events, sizeof(events)) < 0)
		events = 0; /* nothing there: an eventfd knows no other failure */
	leave(gate);
	return events;
}

/* Lets nobody in any more, waits until nobody is inside, and closes. Again is harmless. */
API void gate_close(struct pykvm_gate *gate)
{
	const struct timespec moment = { .tv_nsec = 20000 };

	if (!__atomic_exchange_n(&gate->open, 0, __ATOMIC_SEQ_CST))
		return;
	/* A forked child lacks the threads that its copy of the counter counts: it never falls. */
	while (gate->forks == forks_seen() && __atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST))
		nanosleep(&moment, NULL); /* not a yield: a real-time thread would spin for ever */
	close(gate->fd);
}
