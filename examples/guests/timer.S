/* SPDX-License-Identifier: Apache-2.0
 *
 * timer: arms the virtual timer, sleeps until PPI 27 comes, does it again; in the end powers off.
 * Proves that the in-kernel timer and the vGIC work together.
 *
 * x2 = ticks of CNTVCT until it fires, x3 = how many times
 * Report: taken, ended, spurious; count = rounds; result 0 = least ticks of CNTVCT that a round
 * took.
 */
#define TAKES_INTERRUPTS
#include "runtime/boot.inc"

#define CNTV_CTL_ENABLE		(1 << 0)

ticks		.req	x24
rounds		.req	x25
armed_at	.req	x26
least_ticks	.req	x27

main:
	enter
	mov	ticks, x2
	mov	rounds, x3
	mov	least_ticks, #-1
	mov	x0, #VIRTUAL_TIMER_INTID
	mov	x1, #1
	mov	x2, #0
	bl	interrupts_init
	mov	x0, #VIRTUAL_TIMER_INTID
	bl	gic_enable_ppi
	publish	REPORT_READY

1:	ldr	x9, [report, #REPORT_COUNT]
	cmp	x9, rounds
	b.hs	4f
	isb
	mrs	armed_at, cntvct_el0
	add	x9, armed_at, ticks
	msr	cntv_cval_el0, x9
	mov	x9, #CNTV_CTL_ENABLE
	msr	cntv_ctl_el0, x9
	isb

2:	ldr	x10, [report, #(REPORT_TAKEN + 8 * VIRTUAL_TIMER_INTID)]
	ldr	x9, [report, #REPORT_COUNT]
	cmp	x10, x9
	b.hi	3f
	sleep_until_interrupt
	b	2b

3:	isb
	mrs	x9, cntvct_el0
	sub	x9, x9, armed_at
	cmp	x9, least_ticks
	csel	least_ticks, x9, least_ticks, lo
	str	least_ticks, [report, #REPORT_RESULTS]
	count	REPORT_COUNT
	b	1b
4:	leave

// The timer's line is level-triggered: it must fall before the end, or the interrupt comes again.
serve_device:
	msr	cntv_ctl_el0, xzr
	isb
	ret
