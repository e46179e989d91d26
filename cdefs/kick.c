/* SPDX-License-Identifier: Apache-2.0
 *
 * The signal that makes KVM_RUN return, and the tick that does so for Python's own signals.
 *
 * A signal that Python handles may come when its thread is past the last look at such signals and
 * not yet inside KVM_RUN. Its C handler runs there, nothing is pending any more, and a guest that
 * sleeps would sleep on. To block signals until KVM_RUN is inside costs two system calls for each
 * exit. So while the main thread, the one where Python's handlers run, is inside, a timer sends it
 * the kick signal ten times a second: KVM_RUN returns -EINTR, Python looks, and goes on. Threads
 * other than the main one need no tick. It starts with a run, and ends by itself when it finds the
 * thread outside: a run costs no system call for it.
 */
#define PYKVM_TICK_NS 100000000

static struct {
	int timer;
	volatile sig_atomic_t set; /* whether it ticks; after main_is_inside was written */
	int made;
	unsigned long forks; /* a child inherits no timer */
} ticking;

static volatile sig_atomic_t main_is_inside;

struct pykvm_thread {
	pid_t tid;
	int is_main;
	int unblocked; /* the signal that this thread was made to take */
	unsigned long forks;
};

/* Who runs: asking the kernel each time would be another system call per exit. */
static struct pykvm_thread *this_thread(void)
{
	static __thread struct pykvm_thread here;
	struct pykvm_thread *self = &here;

	if (!self->tid || self->forks != forks_seen()) {
		self->tid = (pid_t)syscall(SYS_gettid);
		self->is_main = self->tid == getpid();
		self->forks = forks_seen();
	}
	return self;
}

static void set_tick(long period_ns)
{
	struct itimerspec time = { { 0, period_ns }, { 0, period_ns } };

	syscall(SYS_timer_settime, ticking.timer, 0, &time, NULL);
}

/* Interrupts system calls by being there at all; ends the tick where nobody is inside. */
static void on_kick_signal(int signal, siginfo_t *info, void *context)
{
	int error = errno;

	(void)signal;
	(void)context;
	if (info->si_code != SI_TIMER || main_is_inside)
		return;
	ticking.set = 0;
	set_tick(0);
	errno = error;
}

/* For the main thread, which says so in main_is_inside first: the handler runs in it, too. */
static void start_tick(int signal)
{
	struct sigevent event;

	if (ticking.set && ticking.forks == forks_seen())
		return;
	if (!ticking.made || ticking.forks != forks_seen()) {
		memset(&event, 0, sizeof(event));
		event.sigev_notify = SIGEV_THREAD_ID;
		event.sigev_signo = signal;
		event._sigev_un._tid = getpid();
		ticking.made = !syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &ticking.timer);
		ticking.forks = forks_seen();
	}
	ticking.set = ticking.made;
	if (ticking.made)
		set_tick(PYKVM_TICK_NS);
}

static int reports_faults(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
	       signal == SIGTRAP;
}

/*
 * Takes `wanted`, or with 0 the first real-time signal that nobody uses, for kicks. Without a handler
 * such a signal would end the process, so this comes before any kick can be sent. Returns the
 * signal's number, or -EBUSY where `wanted` has a handler already, -EINVAL where it must not have
 * this one: a fault that is handled by doing nothing comes again without end.
 */
API int claim_kick_signal(int wanted)
{
	struct sigaction action = { .sa_sigaction = on_kick_signal,
				    .sa_flags = SA_RESTART | SA_SIGINFO };
	struct sigaction present;
	int first = wanted ? wanted : SIGRTMIN;
	int last = wanted ? wanted : SIGRTMAX;
	int signal;

	if (reports_faults(wanted))
		return -EINVAL;
	sigemptyset(&action.sa_mask);
	for (signal = first; signal <= last; signal++) {
		if (sigaction(signal, NULL, &present) < 0)
			return -errno;
		if ((present.sa_flags & SA_SIGINFO) && present.sa_sigaction == on_kick_signal)
			return signal;
		if ((present.sa_flags & SA_SIGINFO) || present.sa_handler != SIG_DFL)
			continue;
		if (sigaction(signal, &action, NULL) < 0)
			return -errno;
		return signal;
	}
	return -EBUSY;
}

static void unblock_once(struct pykvm_thread *self, int signal)
{
	sigset_t set;

	if (self->unblocked == signal)
		return;
	sigemptyset(&set);
	sigaddset(&set, signal);
	/* On Linux this thread's mask, too; and pthread_sigmask would ask for glibc 2.32. */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	self->unblocked = signal;
}
