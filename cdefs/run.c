/* SPDX-License-Identifier: Apache-2.0
 *
 * KVM_RUN, and the kick that makes it return.
 *
 * After a kick the vCPU's current run, or else its next one, is interrupted once. immediate_exit alone
 * would not wake a guest that runs already; a signal alone would be lost between two runs. So a
 * kick sets both under a lock, and whoever leaves KVM_RUN takes the kick back under the same lock:
 * the flag and immediate_exit never disagree, and the thread that is signalled is still the one
 * that runs. KVM_SET_SIGNAL_MASK with a blocked signal is no way out: the signal would stay pending
 * and interrupt every later run.
 */
struct pykvm_vcpu {
	pthread_mutex_t lock;
	struct kvm_run *run; /* NULL once closed */
	int fd;
	int signal;
	pid_t held; /* the thread that is in run(), also while it calls handlers in Python; or 0 */
	pid_t tid; /* the same while it is inside KVM_RUN, or 0 */
	int kicked;
	int closing;
	int masked; /* whether KVM_SET_SIGNAL_MASK blocks `blocked` during KVM_RUN */
	uint64_t blocked;
	unsigned long forks;
	uint32_t load; /* bytes of the guest's load that waits for its value, or 0 */
	uint64_t lines; /* what device_lines() were with the last exit that Python was given */
	int owed; /* an answer that Python could not take in, which the next run begins with, or NOTHING */
	int last; /* the last answer */
	struct pykvm_bus *bus;
	struct pykvm_seat *seat;
	struct pykvm_access access; /* of the last exit that has a handler */
	struct kvm_run exit; /* copy of the last exit: `run` may be unmapped before Python reads it */
};

API int vcpu_open(struct pykvm_vcpu *vcpu, int fd, void *run, int signal, struct pykvm_bus *bus)
{
	memset(vcpu, 0, sizeof(*vcpu));
	pthread_mutex_init(&vcpu->lock, NULL); /* a default one on Linux: this cannot fail */
	vcpu->fd = fd;
	vcpu->signal = signal;
	vcpu->forks = forks_seen();
	vcpu->owed = PYKVM_NOTHING;
	vcpu->bus = bus;
	vcpu->seat = seat_new(bus);
	vcpu->run = vcpu->seat ? run : NULL;
	return vcpu->seat ? 0 : -ENOMEM;
}

/* A child may have inherited the lock in its locked state; KVM refuses it every call anyway. */
static int vcpu_lock(struct pykvm_vcpu *vcpu)
{
	if (vcpu->forks != forks_seen())
		return -EIO;
	pthread_mutex_lock(&vcpu->lock);
	if (!vcpu->run) {
		pthread_mutex_unlock(&vcpu->lock);
		return PYKVM_CLOSED;
	}
	return 0;
}

static void take_exit(struct pykvm_vcpu *vcpu, struct kvm_run *run)
{
	memcpy(&vcpu->exit, run, offsetof(struct kvm_run, kvm_valid_regs));
}

/* Size and value of the exit's access. */
static struct pykvm_access access_of(struct kvm_run *run)
{
	struct pykvm_access access = { .size = run->mmio.len };

	if (run->mmio.is_write)
		memcpy(&access.value, run->mmio.data, sizeof(access.value));
	if (access.size < 8)
		access.value &= (UINT64_C(1) << 8 * access.size) - 1;
	return access;
}

static void expect_reply(struct pykvm_vcpu *vcpu, struct kvm_run *run)
{
	vcpu->load = run->mmio.len;
	memset(run->mmio.data, 0, sizeof(run->mmio.data)); /* what a guest without a reply reads */
}

/*
 * Exits that come with an errno. The kernel sets their reason and fails all the same; any other
 * errno leaves whatever reason was there, which before_run() made harmless.
 */
static int failed_exit(struct pykvm_vcpu *vcpu, struct kvm_run *run, int error)
{
	uint32_t reason = run->exit_reason;

	if (reason == KVM_EXIT_MEMORY_FAULT && (error == -EFAULT || error == -EHWPOISON)) {
		take_exit(vcpu, run);
		return error == -EFAULT ? (int)reason : PYKVM_POISONED;
	}
	if (reason == KVM_EXIT_FAIL_ENTRY && error == -EINVAL) {
		take_exit(vcpu, run);
		memset(&vcpu->exit.fail_entry, 0, sizeof(vcpu->exit.fail_entry)); /* an older exit's */
		return (int)reason;
	}
	return error;
}

/*
 * KVM completes the guest's load only while the reason still says MMIO, so that one stays. It is
 * no exit that comes with an errno: failed_exit() cannot mistake it.
 */
static void before_run(struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_MMIO)
		run->exit_reason = KVM_EXIT_UNKNOWN;
}

/* Lines of the timers and the PMU, which KVM shows here where the GIC is not its own. */
static uint64_t device_lines(struct kvm_run *run)
{
#ifdef __aarch64__
	return run->s.regs.device_irq_level;
#else
	return 0; /* other registers lie there */
#endif
}

/* Whether they are not what Python knows of them. KVM tells of each change with one exit only. */
static int lines_changed(struct pykvm_vcpu *vcpu)
{
	return device_lines(vcpu->run) != vcpu->lines;
}

/* An exit is Python's now, and with it what it can see of the lines; its vCPU may be closed. */
static void deliver(struct pykvm_vcpu *vcpu)
{
	if (vcpu->run)
		vcpu->lines = device_lines(vcpu->run);
}

/*
 * Whether KVM_RUN would end again at once: a signal waits that the thread blocks and KVM_RUN's own
 * mask does not. No handler will take it.
 */
static int signal_stays(struct pykvm_vcpu *vcpu)
{
	uint64_t pending = 0;

	if (!vcpu->masked)
		return 0;
	syscall(SYS_rt_sigpending, &pending, sizeof(pending));
	return (pending & ~vcpu->blocked) != 0;
}

/* Where the last exit is, for Python to read; whole up to kvm_valid_regs. */
API struct kvm_run *vcpu_exit(struct pykvm_vcpu *vcpu)
{
	return &vcpu->exit;
}

/* Where the last access is that has a handler: offset, size and value. */
API struct pykvm_access *vcpu_access(struct pykvm_vcpu *vcpu)
{
	return &vcpu->access;
}

/* Says what KVM_SET_SIGNAL_MASK was told; kicks' own signal is never part of that. */
API int vcpu_masked(struct pykvm_vcpu *vcpu, int masked, uint64_t blocked)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	vcpu->masked = masked;
	vcpu->blocked = blocked;
	pthread_mutex_unlock(&vcpu->lock);
	return 0;
}

/* What device_lines() shows now. */
API int vcpu_device_lines(struct pykvm_vcpu *vcpu)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	result = (int)(device_lines(vcpu->run) & INT32_MAX);
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* Bytes of the load that waits for its value, or 0. */
API int vcpu_pending_load(struct pykvm_vcpu *vcpu)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	result = (int)vcpu->load;
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* Gives the load its value, whose bytes beyond the load's size are 0. */
API int vcpu_reply(struct pykvm_vcpu *vcpu, uint64_t value)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	if (vcpu->load && (vcpu->owed <= PYKVM_LOADS || vcpu->owed == PYKVM_AGAIN))
		vcpu->owed = PYKVM_NOTHING; /* its handler need not be asked again */
	if (vcpu->load)
		memcpy(vcpu->run->mmio.data, &value, sizeof(value)); /* arm64 and x86_64: little-endian */
	pthread_mutex_unlock(&vcpu->lock);
	return 0;
}

static void take_kick(struct pykvm_vcpu *vcpu)
{
	vcpu->kicked = 0;
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
}

static int kick_locked(struct pykvm_vcpu *vcpu)
{
	uint8_t before = __atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_RELAXED);
	pid_t tid;

	/* It is on its way already; real-time signals queue, and a fast kicker would fill the queue. */
	if (vcpu->kicked)
		return 0;
	vcpu->kicked = 1;
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
	/* Either this sees the thread that enters, or KVM_RUN sees immediate_exit: see run_held(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	tid = __atomic_load_n(&vcpu->tid, __ATOMIC_RELAXED);
	/* ESRCH: it has left meanwhile, and ended. */
	if (!tid || !syscall(SYS_tgkill, getpid(), tid, vcpu->signal) || errno == ESRCH)
		return 0;
	/* EAGAIN: no room for one more signal. It is no kick then, or the next would rely on it. */
	vcpu->kicked = 0;
	__atomic_store_n(&vcpu->run->immediate_exit, before, __ATOMIC_RELAXED);
	return -errno;
}

API int vcpu_kick(struct pykvm_vcpu *vcpu)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	result = kick_locked(vcpu);
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* A kick that has ended no run yet will not end one. */
API int vcpu_take_kick(struct pykvm_vcpu *vcpu)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	take_kick(vcpu);
	pthread_mutex_unlock(&vcpu->lock);
	return 0;
}

/* Whether a thread is in run(), in or out of KVM_RUN; this one does not count while in a handler. */
static int is_busy(struct pykvm_vcpu *vcpu)
{
	pid_t held = __atomic_load_n(&vcpu->held, __ATOMIC_ACQUIRE);

	return __atomic_load_n(&vcpu->tid, __ATOMIC_ACQUIRE) || (held && held != this_thread()->tid);
}

API int vcpu_busy(struct pykvm_vcpu *vcpu)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	result = is_busy(vcpu);
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* The thread inside KVM_RUN, or 0. */
API int vcpu_thread(struct pykvm_vcpu *vcpu)
{
	int tid;
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	tid = __atomic_load_n(&vcpu->tid, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vcpu->lock);
	return tid;
}

/* Lets nobody in any more and makes who is inside leave; `undo` takes it back. */
API int vcpu_stop(struct pykvm_vcpu *vcpu, int undo)
{
	int result = vcpu_lock(vcpu);

	if (result)
		return result;
	__atomic_store_n(&vcpu->closing, !undo, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* as in kick_locked() */
	if (!undo && __atomic_load_n(&vcpu->tid, __ATOMIC_RELAXED))
		result = kick_locked(vcpu);
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* Forgets descriptor and mapping, so that the caller may release them. Again is harmless. */
API int vcpu_close(struct pykvm_vcpu *vcpu)
{
	int result = vcpu_lock(vcpu);

	/* In a forked child nobody is inside, and the lock is not to be touched. */
	if (result == -EIO) {
		vcpu->run = NULL;
		return 0;
	}
	if (result)
		return 0;
	if (is_busy(vcpu))
		result = PYKVM_INSIDE;
	else
		vcpu->run = NULL;
	pthread_mutex_unlock(&vcpu->lock);
	return result;
}

/* Takes vcpu_close() back, where the mapping turned out to be in use. */
API void vcpu_reopen(struct pykvm_vcpu *vcpu, void *run)
{
	if (vcpu->forks == forks_seen())
		pthread_mutex_lock(&vcpu->lock);
	vcpu->run = run;
	if (vcpu->forks == forks_seen())
		pthread_mutex_unlock(&vcpu->lock);
}
