/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of our own wrappers, beside the kernel's: outside the range of any errno (1 to 4095) or
 * exit reason.
 */
#define PYKVM_CLOSED -5001 /* own: the object was closed */
#define PYKVM_INSIDE -5002 /* own: another thread is inside KVM_RUN */
#define PYKVM_NOT_ARM64 -5003 /* own: the call has another meaning on this machine */
#define PYKVM_HANDLING -5004 /* own: this thread is inside run(), in a handler */
#define PYKVM_INTERRUPTED 0x10000 /* own: KVM_RUN ended by a kick */
#define PYKVM_SIGNAL 0x10002 /* own: KVM_RUN ended by a signal that stays pending */
#define PYKVM_POISONED 0x10001 /* own: a memory fault on memory that is broken: EHWPOISON */
#define PYKVM_STORED 0x10003 /* own: in the place of KVM_EXIT_MMIO, a store that nobody serves */
