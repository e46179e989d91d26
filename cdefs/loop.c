/* SPDX-License-Identifier: Apache-2.0
 *
 * The run loop: KVM_RUN again and again, until there is something for Python.
 *
 * What ranges.c serves does not end it. All else is answered as one number (ranges.h): a handler, with
 * the access in vcpu->access, or the reason of an exit, or -errno (EINTR: Python lets the handlers of
 * its signals run, and comes back). Nothing here calls Python: what it calls may raise. While a
 * handler runs, the vCPU stays held by its thread.
 *
 * An answer must not be lost where a signal's handler raises before Python has looked at it: Python
 * gives up with what it had, and the next run begins with that.
 */

#define LINE_CHANGED 1 /* beside KVM_RUN's own results, which are 0 or -errno */

/*
 * KVM_RUN, until something is not served here: its result, and for an access what to answer. Lines
 * of the timers that change with an access that was served are told as any change is.
 */
static int run_and_serve(struct pykvm_vcpu *vcpu, struct kvm_run *run, int *slot)
{
	const struct pykvm_range *range;
	const struct pykvm_table *table;
	struct pykvm_access access;

	for (;;) {
		int result = request(vcpu->fd, KVM_RUN, 0);

		TRACE_EXIT(vcpu->fd, run);
		*slot = NOBODYS;
		if (result || run->exit_reason != KVM_EXIT_MMIO)
			return result;
		table = enter_table(vcpu->bus, vcpu->seat);
		if (!table)
			return 0;
		access = access_of(run);
		range = range_of(table, run->mmio.phys_addr, run->mmio.len);
		if (would_overtake(vcpu, range))
			*slot = PYKVM_AGAIN;
		else
			*slot = serve(range, run->mmio.phys_addr, run->mmio.is_write, &access);
		leave_table(vcpu->seat);
		if (*slot != SERVED) {
			vcpu->access = access;
			return 0;
		}
		if (!run->mmio.is_write)
			memcpy(run->mmio.data, &access.value, sizeof(access.value));
		if (lines_changed(vcpu))
			return LINE_CHANGED;
	}
}

/* Why nobody may begin to run now, or 0. The vCPU's lock is held. */
static int refusal(struct pykvm_vcpu *vcpu, struct pykvm_thread *self)
{
	if (vcpu->closing)
		return PYKVM_CLOSED;
	if (vcpu->held)
		return vcpu->held == self->tid ? PYKVM_HANDLING : PYKVM_INSIDE;
	return 0;
}

/* What KVM_RUN came back with that is no exit of its own accord. */
static int interrupted(struct pykvm_vcpu *vcpu, struct kvm_run *run, int result)
{
	pthread_mutex_lock(&vcpu->lock);
	if (result == LINE_CHANGED) {
		result = PYKVM_EXITS - KVM_EXIT_INTR;
	} else if (result == -EINTR && vcpu->kicked) {
		take_kick(vcpu);
		result = PYKVM_EXITS - PYKVM_INTERRUPTED;
	} else if (result == -EINTR) {
		if (run->exit_reason == KVM_EXIT_INTR && lines_changed(vcpu))
			result = PYKVM_EXITS - KVM_EXIT_INTR;
		else if (signal_stays(vcpu))
			result = PYKVM_EXITS - PYKVM_SIGNAL;
	} else {
		result = failed_exit(vcpu, run, result);
		result = result < 0 ? result : PYKVM_EXITS - result;
	}
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* Whether it tells of the guest, and is to be delivered; else it is -EINTR or an error. */
static int is_of_guest(int answer)
{
	return answer >= 0 || answer <= PYKVM_EXITS || answer == PYKVM_AGAIN;
}

static int has_handler(int answer)
{
	return answer >= 0 || answer <= PYKVM_LOADS;
}

/* Python makes its values of MMIO from vcpu->access, which is quicker than to look into a kvm_run. */
static int exit_reason(struct pykvm_vcpu *vcpu, struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_MMIO) {
		take_exit(vcpu, run);
		return (int)run->exit_reason;
	}
	vcpu->access = access_of(run);
	vcpu->access.offset = run->mmio.phys_addr;
	return run->mmio.is_write ? PYKVM_STORED : KVM_EXIT_MMIO;
}

/* Serves the access that had to wait for stores that came before. */
static int serve_again(struct pykvm_vcpu *vcpu)
{
	const struct pykvm_table *table = enter_table(vcpu->bus, vcpu->seat);
	struct kvm_run *run = vcpu->run;
	struct pykvm_access access = access_of(run);
	int slot = NOBODYS;

	if (table) {
		slot = serve(range_of(table, run->mmio.phys_addr, run->mmio.len),
			     run->mmio.phys_addr, run->mmio.is_write, &access);
		leave_table(vcpu->seat);
	}
	vcpu->access = access;
	if (slot != SERVED)
		return has_handler(slot) ? slot : PYKVM_EXITS - exit_reason(vcpu, run);
	if (vcpu->load)
		memcpy(run->mmio.data, &access.value, sizeof(access.value));
	vcpu->load = 0;
	return -EINTR; /* there is nothing for Python: it comes back */
}

static int holds(int answer)
{
	return answer == -EINTR || has_handler(answer);
}

/* An answer that may be Python's from now on. (Inlined, it costs every access that has a handler.) */
static __attribute__((noinline)) int final_answer(struct pykvm_vcpu *vcpu, int answer)
{
	if (answer == PYKVM_AGAIN)
		answer = serve_again(vcpu);
	if (is_of_guest(answer) && !holds(answer))
		deliver(vcpu);
	return answer;
}

/* What Python is told; the vCPU stays held where it has to come back before anything is delivered. */
static int told(struct pykvm_vcpu *vcpu, struct pykvm_thread *self, int answer)
{
	int held = 1;

	if (is_of_guest(answer) && stores_wait(vcpu)) {
		vcpu->owed = answer;
		answer = PYKVM_DRAIN;
	} else if (!has_handler(answer)) {
		answer = final_answer(vcpu, answer);
		held = holds(answer);
	}
	vcpu->last = answer;
	__atomic_store_n(&vcpu->held, held ? self->tid : 0, __ATOMIC_RELEASE);
	return answer;
}

static void outside(struct pykvm_vcpu *vcpu, struct pykvm_thread *self)
{
	if (self->is_main)
		main_is_inside = 0;
	__atomic_store_n(&vcpu->tid, 0, __ATOMIC_RELEASE);
}

/*
 * Runs the guest; this thread holds the vCPU, also afterwards. No lock is taken for that: who wants
 * the thread out writes what the kernel (immediate_exit) or this function (closing) reads, and then
 * looks at `tid`; here it is the other way round, so that one of the two sees the other.
 */
static int enter_guest(struct pykvm_vcpu *vcpu, struct pykvm_thread *self)
{
	struct kvm_run *run = vcpu->run;
	int slot, answer;

	if (lines_changed(vcpu)) { /* with an access that Python has served */
		vcpu->load = 0;
		return PYKVM_EXITS - KVM_EXIT_INTR;
	}
	before_run(run);
	vcpu->load = 0;
	__atomic_store_n(&vcpu->tid, self->tid, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->closing, __ATOMIC_RELAXED)) {
		outside(vcpu, self);
		return PYKVM_CLOSED;
	}
	if (self->is_main) {
		main_is_inside = 1;
		start_tick(vcpu->signal);
	}

	answer = run_and_serve(vcpu, run, &slot);

	if (answer) {
		answer = interrupted(vcpu, run, answer);
	} else {
		answer = slot;
		if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
			expect_reply(vcpu, run);
		if (!has_handler(slot) && slot != PYKVM_AGAIN)
			answer = PYKVM_EXITS - exit_reason(vcpu, run);
	}
	outside(vcpu, self);
	return answer;
}

static int run_held(struct pykvm_vcpu *vcpu, struct pykvm_thread *self)
{
	/* told() comes last: from there on the vCPU may be another thread's. */
	return told(vcpu, self, enter_guest(vcpu, self));
}

/* Runs the guest. */
API int vcpu_run(struct pykvm_vcpu *vcpu)
{
	struct pykvm_thread *self = this_thread();
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	result = refusal(vcpu, self);
	if (!result && vcpu->owed != PYKVM_NOTHING) {
		result = vcpu->owed;
		vcpu->owed = PYKVM_NOTHING;
		result = told(vcpu, self, result);
	} else if (!result) {
		vcpu->held = self->tid;
		pthread_mutex_unlock(&vcpu->lock);
		unblock_once(self, vcpu->signal);
		return run_held(vcpu, self);
	} else if (!vcpu->held) {
		vcpu->last = result; /* the one before was delivered */
	}
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* Why a run() is refused that comes while another one has not returned. */
API int vcpu_refusal(struct pykvm_vcpu *vcpu)
{
	int same = __atomic_load_n(&vcpu->held, __ATOMIC_RELAXED) == this_thread()->tid;

	if (vcpu->forks != forks_seen())
		return -EIO;
	return same ? PYKVM_HANDLING : PYKVM_INSIDE;
}

/* The answer that PYKVM_DRAIN was given in place of. */
API int vcpu_owed(struct pykvm_vcpu *vcpu)
{
	int answer = vcpu->owed;

	answer = final_answer(vcpu, vcpu->run || answer != PYKVM_AGAIN ? answer : PYKVM_CLOSED);
	vcpu->last = answer;
	vcpu->owed = PYKVM_NOTHING;
	if (!holds(answer))
		__atomic_store_n(&vcpu->held, 0, __ATOMIC_RELEASE);
	return answer;
}

/* Comes back from a handler, or after a signal. */
API int vcpu_go_on(struct pykvm_vcpu *vcpu)
{
	if (vcpu->forks != forks_seen())
		return -EIO;
	return vcpu->run ? run_held(vcpu, this_thread()) : PYKVM_CLOSED;
}

/* As vcpu_go_on(), with the value of the guest's load, unless something else has completed it. */
API int vcpu_reply_and_go_on(struct pykvm_vcpu *vcpu, uint64_t value)
{
	if (vcpu->load && vcpu->load < 8 && value >> 8 * vcpu->load)
		return PYKVM_TOO_WIDE;
	/* A child that was forked in the handler sees the parent's kvm_run: hands off. */
	if (vcpu->load && vcpu->run && vcpu->forks == forks_seen())
		memcpy(vcpu->run->mmio.data, &value, sizeof(value));
	return vcpu_go_on(vcpu);
}

/*
 * Python leaves its loop. `undelivered` is the answer that nobody has been given yet, which the next
 * run begins with; PYKVM_UNSEEN the last one, which Python never saw; else there is none.
 */
API void vcpu_give_up(struct pykvm_vcpu *vcpu, int undelivered)
{
	if (vcpu_lock(vcpu))
		return;
	if (undelivered == PYKVM_UNSEEN)
		undelivered = vcpu->last;
	if (is_of_guest(undelivered)) /* after PYKVM_DRAIN it is owed anyway */
		vcpu->owed = undelivered;
	if (vcpu->held == this_thread()->tid)
		vcpu->held = 0;
	pthread_mutex_unlock(&vcpu->lock);
}

/* The access of a slot whose handler is gone, as an exit. */
API void vcpu_take_exit(struct pykvm_vcpu *vcpu)
{
	if (vcpu_lock(vcpu))
		return;
	take_exit(vcpu, vcpu->run);
	pthread_mutex_unlock(&vcpu->lock);
}
