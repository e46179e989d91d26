/* SPDX-License-Identifier: Apache-2.0
 *
 * psci: one power-management call, as asked for.
 * Proves that the host sees the system events, and that CPU_ON starts a second vCPU.
 *
 * x2 = ACTION_*:
 *   ACTION_REPORT        publish `ready` and `done`, then CPU_OFF: what a CPU does after CPU_ON
 *   ACTION_SYSTEM_OFF    SYSTEM_OFF
 *   ACTION_SYSTEM_RESET  SYSTEM_RESET; the report's `starts` tells how often the image was entered
 *   ACTION_CPU_ON        start the CPU with MPIDR affinity x3, wait until it is ready, SYSTEM_OFF
 * Report: result 0 = PSCI's answer to CPU_ON (0 is success).
 */
#include "runtime/boot.inc"

main:
	enter
	publish	REPORT_READY
	cmp	x2, #ACTION_SYSTEM_OFF
	b.eq	psci_system_off
	cmp	x2, #ACTION_SYSTEM_RESET
	b.eq	psci_system_reset
	cmp	x2, #ACTION_REPORT
	b.eq	report_in
	cmp	x2, #ACTION_CPU_ON
	b.ne	bad_action

	mov	x24, x0				// REPORT_GPA
	mov	x25, x3
	mov	x0, x3
	adr	x1, secondary_start
	mov	x2, x24
	bl	psci_cpu_on
	str	x0, [report, #REPORT_RESULTS]
	cbnz	x0, 2f
	mov	x9, #REPORT_BLOCK_SIZE
	and	x10, x25, #(MAX_CPUS - 1)
	madd	x10, x10, x9, x24
1:	yield
	ldr	x9, [x10, #REPORT_READY]
	cbz	x9, 1b
2:	leave

report_in:
	publish	REPORT_DONE
	b	psci_cpu_off

bad_action:
	die	STOP_BAD_ARGUMENT

// CPU_ON gives x0 only, and leaves the rest unknown.
secondary_start:
	mov	x1, #0
	mov	x2, #ACTION_REPORT
	b	_start
