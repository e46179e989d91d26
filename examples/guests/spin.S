/* SPDX-License-Identifier: Apache-2.0
 *
 * spin: counts for ever and never leaves the guest by itself.
 * Proves that the host can get a busy vCPU out of KVM_RUN, and that the guest goes on afterwards.
 *
 * Report: count.
 */
#include "runtime/boot.inc"

main:
	publish	REPORT_READY
1:	count	REPORT_COUNT
	b	1b
