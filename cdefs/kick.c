/* SPDX-License-Identifier: Apache-2.0
 *
 * The signal that kicks use; the kick itself is in run.c.
 */
/* Interrupts system calls by being there at all. */
static void on_kick_signal(int signal)
{
	(void)signal;
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
	struct sigaction action = { .sa_handler = on_kick_signal, .sa_flags = SA_RESTART };
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
		if (present.sa_handler == on_kick_signal)
			return signal;
		if ((present.sa_flags & SA_SIGINFO) || present.sa_handler != SIG_DFL)
			continue;
		if (sigaction(signal, &action, NULL) < 0)
			return -errno;
		return signal;
	}
	return -EBUSY;
}
