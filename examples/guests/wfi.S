/* SPDX-License-Identifier: Apache-2.0
 *
 * wfi: waits for ever for an interrupt, with none enabled.
 * Proves that the host can get an idle vCPU out of KVM_RUN: the next run goes on behind the WFI.
 *
 * Report: wakeups.
 */
#include "runtime/boot.inc"

main:
	publish	REPORT_READY
1:	wfi
	count	REPORT_WAKEUPS
	b	1b
