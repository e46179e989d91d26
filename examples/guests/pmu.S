/* SPDX-License-Identifier: Apache-2.0
 *
 * pmu: counts an event over a few instructions, then lets counter 0 overflow and sleeps until its
 * interrupt comes; in the end powers off.
 * Proves that the guest's PMU counts, and that it is wired to the vGIC.
 *
 * x2 = INTID of the PMU's PPI, x3 = number of the event to count
 * Report: taken, ended, spurious; result 0 = PMCR_EL0, result 1 = PMCEID0_EL0, result 2 = how often
 * the event was counted.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"

#define PMCR_ENABLE		(1 << 0)
#define SOFTWARE_INCREMENT	0
#define RESULT(n)		(REPORT_RESULTS + 8 * (n))

intid		.req	x24
event		.req	x25

main:
	enter
	mov	intid, x2
	mov	event, x3
	mov	x0, intid
	mov	x1, #1
	mov	x2, #0
	bl	interrupts_init
	mov	x0, intid
	bl	gic_enable_ppi
	mrs	x9, pmcr_el0
	str	x9, [report, #RESULT(0)]
	orr	x9, x9, #PMCR_ENABLE
	msr	pmcr_el0, x9
	mrs	x10, pmceid0_el0
	str	x10, [report, #RESULT(1)]
	publish	REPORT_READY

	mov	x10, #1				// counter 0
	msr	pmevtyper0_el0, event
	msr	pmevcntr0_el0, xzr
	msr	pmcntenset_el0, x10
	isb
	mov	x9, #1000
1:	subs	x9, x9, #1
	b.ne	1b
	isb
	msr	pmcntenclr_el0, x10
	isb
	mrs	x9, pmevcntr0_el0
	str	x9, [report, #RESULT(2)]

	mov	x9, #SOFTWARE_INCREMENT
	msr	pmevtyper0_el0, x9
	mov	x9, #0xffffffff			// one before it overflows
	msr	pmevcntr0_el0, x9
	msr	pmintenset_el1, x10
	msr	pmcntenset_el0, x10
	isb
	msr	pmswinc_el0, x10
	isb
2:	add	x10, report, #REPORT_TAKEN
	ldr	x10, [x10, intid, lsl #3]
	cbnz	x10, 3f
	sleep_until_interrupt
	b	2b
3:	leave

// The PMU's line is level-triggered: it must fall before the end, or the interrupt comes again.
serve_device:
	mov	x9, #-1
	msr	pmovsclr_el0, x9
	isb
	ret
